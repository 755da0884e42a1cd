"""The same conversation for clients of Socket.IO: an event's name is a message's `type`, an ack is its reply."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
import socketio  # type: ignore[import-untyped]
from engineio.exceptions import EngineIOError  # type: ignore[import-untyped]
from socketio.exceptions import ConnectionRefusedError as Refused  # type: ignore[import-untyped]
from socketio.exceptions import SocketIOError
from starlette.types import Scope

from agentrooms.api.limits import client_of
from agentrooms.api.models.socket import TOKEN_CHARACTERS_MAX
from agentrooms.api.problems import Problem
from agentrooms.api.sockets.plain import FRAME_CHARACTERS_MAX
from agentrooms.api.sockets.session import Reply, Session

if TYPE_CHECKING:
    from agentrooms.api.sockets.service import Sockets

PING_S, PING_TIMEOUT_S = 25, 20
NAMESPACE = "/"
PACKETS_MAX = 12  # that wait for a client at once: its next poll gets all, and the Python client takes 16


class SocketIo:
    """The ASGI application of /socket.io."""

    def __init__(self, sockets: Sockets, origins: frozenset[str], trusted_proxies: int) -> None:
        assert origins, "an empty list would let pages of any origin in"
        self._sockets = sockets
        self._trusted_proxies = trusted_proxies
        self._clients: dict[str, tuple[Session, asyncio.Task[None], str]] = {}
        self._connecting: dict[str, str] = {}  # clients whose token is being looked at, to their connections
        self._strangers: dict[str, float] = {}  # connections without a client, and since when
        self._closing: set[asyncio.Task[None]] = set()
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            cors_allowed_origins=sorted(origins),
            max_http_buffer_size=FRAME_CHARACTERS_MAX,
            ping_interval=PING_S,
            ping_timeout=PING_TIMEOUT_S,
            http_compression=False,
            namespaces=[NAMESPACE],
        )
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("*", self._hear)
        self.app = socketio.ASGIApp(self._server, socketio_path="socket.io")

    def goes_on(self, scope: Scope) -> bool:
        """Tells whether a request belongs to a connection that was let in before."""
        ids = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("sid", [])
        return len(ids) == 1 and ids[0] in self._server.eio.sockets

    async def stop(self) -> None:
        """Cuts off whoever is still there."""
        for sid in list(self._clients):
            self._end(sid)
        await self._server.shutdown()

    async def _connect(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        """Lets a client in: with a token as its user, without one as a spectator."""
        try:
            token = _token(auth)
            address = client_of(environ["asgi.scope"], self._trusted_proxies)
            session = self._sockets.admit(address, lambda: self._end(sid))
        except Problem as error:
            raise _refused(error) from error
        engine_id = self._connecting[sid] = self._server.manager.eio_sid_from_sid(sid, NAMESPACE)
        try:
            reply = await session.answer({"type": "spectate"} if token is None else {"type": "auth", "token": token})
            if reply["type"] == "error":
                code = str(reply["code"])
                raise _refused(Problem(401 if code.startswith("token") else 503, str(reply["message"]), code=code))
            if not self._is_here(engine_id):  # nothing tells of its end: it was no client yet
                raise _refused(Problem(503, "the client has gone"))
        except BaseException:
            self._sockets.left(session)
            raise
        finally:
            del self._connecting[sid]
        task = asyncio.create_task(self._send_to(sid, engine_id, session))  # it begins once the client knows it is in
        self._clients[sid] = session, task, engine_id

    async def _disconnect(self, sid: str, _reason: str) -> None:
        client = self._clients.pop(sid, None)
        if client is not None:
            session, task, _ = client
            self._sockets.left(session)
            task.cancel()

    async def _hear(self, event: str, sid: str, *said: object) -> Reply | None:
        client = self._clients.get(sid)
        if client is None or client[0].outbox.closing is not None or client[0].heard_too_much():
            return None
        data = said[0] if said else {}
        return await client[0].answer({**data, "type": event} if isinstance(data, dict) else data)

    async def _send_to(self, sid: str, engine_id: str, session: Session) -> None:
        """Sends what waits for a client, in order, until it is to be closed."""
        engine, outbox = self._server.eio, session.outbox
        with suppress(EngineIOError, SocketIOError, KeyError):
            queue = engine.sockets[engine_id].queue
            while batch := await outbox.take():
                for begin in range(0, len(batch), PACKETS_MAX):
                    for message in batch[begin : begin + PACKETS_MAX]:
                        await engine.send(engine_id, message.packet)
                    await queue.join()  # it has no bound of its own
            assert outbox.closing is not None
            goodbye = {"type": "error", "code": outbox.closing.name.lower(), "message": outbox.reason}
            await engine.send(engine_id, f'2["error",{msgspec.json.encode(goodbye).decode()}]')
            del self._clients[sid]  # so that its end does not end this task
            self._sockets.left(session)
            await self._server.disconnect(sid)
            await self._cut(engine_id)

    def tick(self, now_s: float, first_s: float) -> None:
        """Closes connections that have been nobody's for too long: that never said who they are, or were refused.

        Also lets clients go whose connection ended untold.
        """
        for sid, (_, _, engine_id) in list(self._clients.items()):
            if not self._is_here(engine_id):
                self._end(sid)
        ours = {*self._connecting.values(), *(engine_id for _, _, engine_id in self._clients.values())}
        engine = self._server.eio
        self._strangers = {id_: self._strangers.get(id_, now_s) for id_ in engine.sockets if id_ not in ours}
        for id_, since_s in self._strangers.items():
            if now_s - since_s > first_s:
                self._aside(self._cut(id_))

    def _end(self, sid: str) -> None:
        """Cuts a client off."""
        client = self._clients.pop(sid, None)
        if client is not None:
            session, task, engine_id = client
            self._sockets.left(session)
            task.cancel()
            self._aside(self._cut(engine_id))

    def _is_here(self, engine_id: str) -> bool:
        socket = self._server.eio.sockets.get(engine_id)
        return socket is not None and not socket.closing and not socket.closed

    async def _cut(self, engine_id: str) -> None:
        """Closes a connection, whatever its client does: the library only asks the client to."""
        socket = self._server.eio.sockets.get(engine_id)
        if socket is not None:
            with suppress(EngineIOError):
                await socket.close(wait=False)
            await socket.queue.put(None)  # ends its writer, which closes the WebSocket

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _token(auth: object) -> str | None:
    """Returns the token of a handshake, None without one. Raises Problem for anything else."""
    if auth is None or auth == {}:
        return None
    token = auth.get("token") if isinstance(auth, dict) else None
    if token is None and isinstance(auth, dict):
        return None
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        raise Problem(401, "the handshake's token is none", code="token_invalid")
    return token


def _refused(problem: Problem) -> Refused:
    return Refused("unauthorised" if problem.status == 401 else str(problem), {"code": problem.code})
