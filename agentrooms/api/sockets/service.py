"""The sockets of one process: who is connected, how many may be, and what time does to them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import redis
from starlette.types import ASGIApp, Scope

from agentrooms.api.auth.principal import Principal
from agentrooms.api.home import Home
from agentrooms.api.limits import Limits
from agentrooms.api.metrics import CLIENTS
from agentrooms.api.problems import Problem
from agentrooms.api.sockets.hub import CHECK_S, IDLE_S, Hub
from agentrooms.api.sockets.outbox import Close
from agentrooms.api.sockets.plain import PlainSockets
from agentrooms.api.sockets.presence import Presence
from agentrooms.api.sockets.session import Session
from agentrooms.api.sockets.socketio import SocketIo
from agentrooms.events.store import EventStore, StoreError
from agentrooms.live.commands import Speak

READERS = 4  # of tokens
SPEAKERS = 8  # that wait for a room's answer: they must not keep anybody from signing in
SHUTDOWN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be in one process, and what is done with each when."""

    connections: int = 10_000
    per_address: int = 2_000  # many people may share one
    per_user: int = 20
    first_s: float = 5.0  # until a client has said who it is
    heartbeat_s: float = 10.0
    recheck_s: float = 30.0  # until it is asked again whether a token is still good: its user may have logged out
    drain_s: float = 10.0  # for a client that is closed to take what it was sent
    look_s: float = CHECK_S
    idle_s: float = IDLE_S
    tick_s: float = 1.0  # how exact these times are


@dataclass(frozen=True, slots=True)
class Services:
    """What sockets work with. `authenticate` and `speak` run on other threads and raise Problem or StoreError."""

    store: EventStore
    redis_url: str | None
    redis: redis.Redis
    limits: Limits
    origins: frozenset[str]
    trusted_proxies: int
    authenticate: Callable[[str], Principal]
    speak: Callable[[Principal, str, str, str | None], None]


class Sockets:
    """All clients of this process. `asgi` serves /ws, `socketio_app` /socket.io."""

    def __init__(self, services: Services, bounds: Bounds | None = None) -> None:
        self.limits = services.limits
        self.sessions: dict[Session, Callable[[], None]] = {}
        self._services = services
        self._bounds = bounds = bounds or Bounds()
        self.hub = Hub(services.store, services.redis_url, look_s=bounds.look_s, idle_s=bounds.idle_s)
        self._presence = Presence(services.redis)
        self._of_address: Counter[str] = Counter()
        self._of_user: Counter[str] = Counter()
        self._readers = ThreadPoolExecutor(READERS, "sockets-tokens")
        self._speakers = ThreadPoolExecutor(SPEAKERS, "sockets-speak")
        self._presence_worker = ThreadPoolExecutor(1, "sockets-presence")
        self._ticking: asyncio.Task[None] | None = None
        self._checking: dict[Session, asyncio.Task[None]] = {}
        self._due: dict[Session, tuple[float, float]] = {}  # of the next heartbeat and the next look at the token
        self._stopping = False
        self._nobody = asyncio.Event()  # is here, at the end
        plain = PlainSockets(self, services.origins, services.trusted_proxies)
        self._socketio = SocketIo(self, services.origins, services.trusted_proxies)
        self.asgi: ASGIApp = plain
        self.socketio_app: ASGIApp = self._socketio.app

    def goes_on(self, scope: Scope) -> bool:
        """Tells whether a request belongs to a Socket.IO connection that was let in before."""
        return self._socketio.goes_on(scope)

    async def startup(self) -> None:
        """Begins to serve. Of one event loop only."""
        await self.hub.start()
        self._ticking = asyncio.create_task(self._tick_on(), name="sockets-tick")

    async def shutdown(self) -> None:
        """Tells all clients to come again, waits for them for a moment, and ends."""
        self.close_all()
        if self.sessions:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SHUTDOWN_S):
                    await self._nobody.wait()
        for end in list(self.sessions.values()):
            end()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self.hub.stop()
        await self._socketio.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_S):
                await self._write_presence()
        for pool in (self._readers, self._speakers, self._presence_worker):
            pool.shutdown(wait=False, cancel_futures=True)

    def close_all(self) -> None:
        """Tells all clients to come again; no more are let in."""
        self._stopping = True
        for session in self.sessions:
            session.outbox.close(Close.RESTART, "the server restarts")

    def admit(self, address: str, end: Callable[[], None]) -> Session:
        """Lets a client in; `end` cuts it off. Raises Problem when there are too many."""
        if self._stopping:
            raise Problem(503, "the server restarts", hint="come again in a moment")
        if len(self.sessions) >= self._bounds.connections:
            raise Problem(503, "too many connections", hint="come again later")
        if self._of_address[address] >= self._bounds.per_address:
            raise Problem(429, f"more than {self._bounds.per_address} connections from one address")
        session = Session(self, address)
        self._of_address[address] += 1
        self.sessions[session] = end
        now_s = time.monotonic()
        self._due[session] = (now_s + self._bounds.heartbeat_s, now_s + self._bounds.recheck_s)
        CLIENTS.inc()
        return session

    def admit_user(self, user: str) -> None:
        """Counts a connection as a user's. Raises Problem when the user has too many."""
        if self._of_user[user] >= self._bounds.per_user:
            raise Problem(429, f"more than {self._bounds.per_user} connections of one user", hint="close one")
        self._of_user[user] += 1

    def left(self, session: Session) -> None:
        """Forgets a client."""
        if self.sessions.pop(session, None) is None:
            return
        session.leave()
        del self._due[session]
        self._presence.forget(session.id)
        _uncount(self._of_address, session.address)
        if session.principal is not None:
            _uncount(self._of_user, session.principal.user)
        CLIENTS.dec()
        if self._stopping and not self.sessions:
            self._nobody.set()

    def changed(self, session: Session) -> None:
        """Shows who a client is, or where."""
        if session in self.sessions:
            self._presence.note(session.id, session.shown())

    async def who(self, token: str) -> Principal:
        """Returns whose token it is. Raises Problem or StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._services.authenticate, token)

    async def say(self, user: Principal, room: str, text: str, id_: str | None) -> None:
        """Has a person's words said. Raises Problem when they are refused."""
        speak = self._services.speak
        await asyncio.get_running_loop().run_in_executor(self._speakers, speak, user, room, text, id_)

    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(self._bounds.tick_s)
            try:
                await self._tick_all(time.monotonic())
            except Exception:
                log.exception("the clock of sockets missed a beat")  # and goes on: all clients depend on it

    async def _tick_all(self, now_s: float) -> None:
        for session, end in list(self.sessions.items()):
            try:
                self._tick(session, now_s)
            except Exception as error:  # noqa: BLE001 -- one client must not stop the clock of all
                log.error("a socket client cannot be looked after: %s", type(error).__name__)  # noqa: TRY400
                end()
        try:
            self._socketio.tick(now_s, self._bounds.first_s)
        finally:
            await self._write_presence()

    def _tick(self, session: Session, now_s: float) -> None:
        """Does what is due for a client."""
        bounds, outbox = self._bounds, session.outbox
        if outbox.closing is not None:
            session.closing_since_s = session.closing_since_s or now_s
            if now_s - session.closing_since_s > bounds.drain_s:
                self.sessions[session]()
            return
        if not session.open:
            if not session.signing_in and now_s - session.connected_at_s > bounds.first_s:
                outbox.close(Close.AUTH_TIMEOUT, f"say auth or spectate within {bounds.first_s:g} s")
            return
        beat_s, check_s = self._due[session]
        if now_s >= beat_s:
            session.beat()
            beat_s = now_s + bounds.heartbeat_s
        if session.principal is not None:
            if session.principal.expires_at_s <= time.time():
                outbox.close(Close.UNAUTHORISED, "token_expired")
            elif now_s >= check_s and session not in self._checking:
                check_s = now_s + bounds.recheck_s
                task = self._checking[session] = asyncio.create_task(self._recheck(session))
                task.add_done_callback(lambda _: self._checking.pop(session))
        self._due[session] = (beat_s, check_s)

    async def _recheck(self, session: Session) -> None:
        """Closes a client whose token is good no longer. A database that is away says nothing about it."""
        token = session.token
        try:
            await self.who(token)
        except StoreError:
            return
        except Problem as error:
            if error.status == 401 and session.token == token:  # it may have said a new one
                session.outbox.close(Close.UNAUTHORISED, error.code)

    async def _write_presence(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._presence_worker, self._presence.write)


def create_sockets(home: Home, authenticate: Callable[[str], Principal], limits: Limits) -> Sockets:
    """Returns the sockets over a running system. `authenticate` raises Problem 401 for a token that is not good."""

    def speak(user: Principal, room: str, text: str, id_: str | None) -> None:
        home.asking.ask(Speak(id=message_command(user.user, room, id_), room=room, wallet=user.wallet, text=text))

    return Sockets(
        Services(
            store=home.store,
            redis_url=home.running.redis_url,
            redis=home.redis,
            limits=limits,
            origins=home.origins,
            trusted_proxies=home.settings.trusted_proxies,
            authenticate=authenticate,
            speak=speak,
        )
    )


def message_command(user: str, room: str, id_: str | None) -> str:
    """Returns the id of the command that says a message: the same for one that is sent again with its id."""
    if id_ is None:
        return f"say:{secrets.token_hex(16)}"
    return f"say:{hashlib.sha256(f'{user} {room} {id_}'.encode()).hexdigest()[:40]}"


def _uncount(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
