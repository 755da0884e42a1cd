"""A log in Postgres with rooms written by hand, API processes that serve its sockets, and clients."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from agentrooms.actors.broadcast import publisher
from agentrooms.api.auth.principal import Principal
from agentrooms.api.limits import Limits
from agentrooms.api.problems import Problem
from agentrooms.api.server import config_of
from agentrooms.api.sockets.reading import frames_after
from agentrooms.api.sockets.service import Bounds, Services, Sockets
from agentrooms.domain.event import Event
from agentrooms.domain.room import ActPosted, ActsExplained, PersonSpoke
from agentrooms.domain.terms import ActKind, Mood
from agentrooms.domain.user import user_id
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import Conflict, StoreError
from agentrooms.projections.example import example_log
from agentrooms.services.redis import client

WAIT_S = 20.0
ORIGIN = "https://rooms.example"
WALLETS = {name: f"0x{number:040x}" for number, name in enumerate(("ann", "ben", "cat"), start=1)}
QUICK = Bounds(first_s=0.3, heartbeat_s=0.2, recheck_s=0.1, drain_s=5.0, look_s=0.2, tick_s=0.05)

_EXAMPLE = [one.event for one in example_log()[0]]


class Room:
    """A room whose events are written here; each round is one append."""

    def __init__(self, store: PostgresLog, redis_url: str | None) -> None:
        self.id = f"room_{secrets.token_hex(4)}"
        self.rounds = itertools.count(2)
        self._store = store
        self._publish = publisher(redis_url)
        self._journal = Journal(store, self.id)
        self.write([replace_room(one, self.id) for one in _EXAMPLE[:7]])

    @property
    def head(self) -> int:
        """The last event's number."""
        return self._journal.head.seq

    def write(self, events: list[Event], *, publish: bool = True) -> None:
        """Appends events, and tells Redis of them as the log writer does."""
        before = self._journal.position
        entries = [Entry(event) for event in events]
        assert not isinstance(self._journal.append(entries, at_ms=1_000, cmd=secrets.token_hex(8)), Conflict)
        if publish and self._publish is not None:
            with contextlib.suppress(Exception):  # a Redis that is away is no matter of the log's
                self._publish(self._store.read(after=before))

    def round(self, lines: int = 3, *, private: bool = False, publish: bool = True) -> None:
        """Lets an agent say some lines."""
        number = next(self.rounds)
        events: list[Event] = [said(number, f"line {number}.{n}") for n in range(lines)]
        if private:
            events.append(ActsExplained({}, number))
        self.write(events, publish=publish)

    def frames(self) -> list[dict[str, Any]]:
        """What clients must have got in the end."""
        return [json.loads(frame.model_dump_json()) for frame in frames_after(self._store, self.id, 0, 1_000_000)]


def said(round_: int, text: str) -> ActPosted:
    """An agent's comment."""
    return ActPosted(
        act=ActKind.COMMENT,
        agent="agent_dee",
        mood=Mood.CALM,
        price_usdc_micros=None,
        quote=None,
        refers_to=None,
        round=round_,
        text=text,
        to=None,
        token_id=None,
        wording="scripted",
    )


def replace_room(event: Event, room: str) -> Event:
    """Returns an example's event in another room."""
    return msgspec.structs.replace(event, room=room) if hasattr(event, "room") else event


class Process:
    """One API process's sockets, in a thread with a loop of its own."""

    def __init__(self, store: PostgresLog, redis_url: str, bounds: Bounds = QUICK) -> None:
        self.store, self.redis_url = store, redis_url
        self.revoked: set[str] = set()
        self.expiring: dict[str, int] = {}
        self.said: list[tuple[str, str, str, str | None]] = []
        self.asked: list[str] = []  # tokens
        self.slow: set[str] = set()  # those that are not read before `go_on`, as are words with "slow" in them
        self.go_on = threading.Event()
        self._redis = client(redis_url)
        self.sockets: Sockets
        self._bounds = bounds

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._app(scope, receive, send)

        self._server = uvicorn.Server(local(config_of(app)))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> float:
        """Ends the process as SIGTERM does; returns how many seconds that took."""
        begun = time.monotonic()
        self._server.should_exit = True
        self.go_on.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        self._redis.close()
        return time.monotonic() - begun

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.sockets = self._make()
            await self.sockets.startup()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.sockets.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
            return
        polled = scope["path"].startswith("/socket.io")
        app: ASGIApp = self.sockets.socketio_app if polled else self.sockets.asgi
        await app(scope, receive, send)

    def _make(self) -> Sockets:
        services = Services(
            store=self.store,
            redis_url=self.redis_url,
            redis=self._redis,
            limits=Limits(self._redis, b"secret"),
            origins=frozenset({ORIGIN}),
            trusted_proxies=0,
            authenticate=self._authenticate,
            speak=self._speak,
        )
        return Sockets(services, self._bounds)

    def _authenticate(self, token: str) -> Principal:
        self.asked.append(token)
        if token in self.slow:
            assert self.go_on.wait(WAIT_S)
        if token == "away":
            raise StoreError("the database is away")
        wallet = WALLETS.get(token)
        if wallet is None or token in self.revoked:
            raise Problem(401, "the token is not good", code="token_invalid")
        expires_at_s = self.expiring.get(token, int(time.time()) + 3_600)
        return Principal(user_id(wallet), wallet, False, expires_at_s, "s")

    def _speak(self, user: Principal, room: str, text: str, id_: str | None) -> None:
        self.said.append((user.wallet, room, text, id_))
        if "slow" in text:
            assert self.go_on.wait(WAIT_S)
        if "refuse" in text:
            raise Problem(409, "the room is closed")


def spoken(round_: int, text: str) -> PersonSpoke:
    """What a person says."""
    return PersonSpoke(round_, text, user_id(WALLETS["ann"]), WALLETS["ann"])


def local(config: uvicorn.Config) -> uvicorn.Config:
    """Returns the real server's configuration, on any free port of this machine."""
    config.host, config.port = "127.0.0.1", 0
    return config


class Client:
    """A plain client that remembers the events it got."""

    def __init__(self, process: Process, token: str | None = None, **options: Any) -> None:
        self._ends = contextlib.ExitStack()
        options = {"compression": None, "max_size": None, "max_queue": None, **options}
        connection = connect(f"ws://127.0.0.1:{process.port}/ws", **options)
        self.socket: ClientConnection = self._ends.enter_context(connection)
        self.others: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        first = {"type": "spectate"} if token is None else {"type": "auth", "token": token}
        with contextlib.suppress(ConnectionClosed):  # one that is refused says why when it is read
            self.say(**first)

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def join(self, room: Room, after: int | None = None, **more: Any) -> dict[str, Any]:
        asked = {"after": after} if after is not None else {}
        self.say(type="join_room", roomId=room.id, **asked, **more)
        return self.hear("joined")

    def next(self) -> dict[str, Any]:
        """The next frame, sorted by what it is."""
        frame: dict[str, Any] = json.loads(self.socket.recv(WAIT_S))
        (self.events if "seq" in frame and frame["type"] != "joined" else self.others).append(frame)
        return frame

    def hear(self, type_: str) -> dict[str, Any]:
        """The next frame of a type."""
        while True:
            frame = self.next()
            if frame["type"] == type_:
                return frame

    def until(self, seq: int) -> list[int]:
        """Reads up to an event; returns the numbers of all events so far."""
        while not self.events or self.events[-1]["seq"] < seq:
            self.next()
        return [event["seq"] for event in self.events]

    def closed(self) -> tuple[int, str]:
        """Reads to the end; returns why it was closed."""
        with pytest.raises(ConnectionClosed) as closed:
            self._drain()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    def _drain(self) -> None:
        while True:
            self.next()

    def close(self) -> None:
        self._ends.close()


def pass_first_time(process: Process) -> None:
    """Waits for as long as a client has to say who it is."""
    with connect(f"ws://127.0.0.1:{process.port}/ws") as silent, pytest.raises(ConnectionClosed) as closed:
        silent.recv(WAIT_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4408


def until(true: Callable[[], object]) -> None:
    """Waits for something that happens elsewhere."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def serving(store: PostgresLog, redis_url: str, bounds: Bounds = QUICK) -> Iterator[Process]:
    """Gives a process's sockets."""
    process = Process(store, redis_url, bounds)
    try:
        yield process
    finally:
        process.stop()
