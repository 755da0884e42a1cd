"""Sockets at /ws: each frame is one JSON object of text. Written so that a delivery costs next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from agentrooms.api.limits import client_of
from agentrooms.api.problems import Problem
from agentrooms.api.sockets.framing import SEND_FRAMES
from agentrooms.api.sockets.outbox import Close, Message
from agentrooms.api.sockets.session import Session

if TYPE_CHECKING:
    from agentrooms.api.sockets.service import Sockets

PATH = "/ws"
SUBPROTOCOL = "agentrooms.v1"
FRAME_CHARACTERS_MAX = 8_192
WRITE_BYTES = 65_536  # about what is written at once


class PlainSockets:
    """The ASGI application of /ws."""

    def __init__(self, sockets: Sockets, origins: frozenset[str], trusted_proxies: int) -> None:
        self._sockets = sockets
        self._origins = origins
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one client until it goes."""
        await receive()  # that it wants to connect
        if scope["path"] != PATH:
            await send({"type": "websocket.close"})  # before it is accepted: HTTP 403
            return
        offered = SUBPROTOCOL in scope.get("subprotocols", ())
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        origin = Headers(scope=scope).get("origin")
        if origin is not None and origin not in self._origins:  # accepted first, so that the page learns why
            await _close(send, Close.ORIGIN, "pages of this origin may not connect")
            return
        ended = asyncio.Event()
        try:
            session = self._sockets.admit(client_of(scope, self._trusted_proxies), ended.set)
        except Problem as error:
            await _close(send, Close.RATE_LIMITED if error.status == 429 else Close.TRY_LATER, str(error))
            return
        tasks = [
            asyncio.create_task(_send_to(session, send)),
            asyncio.create_task(_hear(session, receive)),
            asyncio.create_task(ended.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sockets.left(session)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _send_to(session: Session, send: Send) -> None:
    """Sends what waits for a client, in order, until it is to be closed."""
    outbox = session.outbox
    while batch := await outbox.take():
        for piece in _pieces(batch):
            await send({"type": SEND_FRAMES, "data": piece})
    assert outbox.closing is not None
    await _close(send, outbox.closing, outbox.reason)


def _pieces(batch: Sequence[Message]) -> Iterator[bytes]:
    """Yields the frames of messages, as many in one write as a slow client may keep waiting there."""
    if len(batch) == 1:
        yield batch[0].frame
        return
    frames: list[bytes] = []
    count = 0
    for message in batch:
        frames.append(message.frame)
        count += len(frames[-1])
        if count >= WRITE_BYTES:
            yield b"".join(frames)
            frames, count = [], 0
    yield b"".join(frames)


async def _hear(session: Session, receive: Receive) -> None:
    """Answers what a client says until it goes."""
    speaking: set[asyncio.Task[None]] = set()
    try:
        message = await receive()
        while message["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                session.outbox.close(Close.MALFORMED, "frames are text")
            elif len(text) > FRAME_CHARACTERS_MAX:
                session.outbox.close(Close.TOO_LARGE, f"a frame has at most {FRAME_CHARACTERS_MAX} characters")
            elif session.outbox.closing is None:
                await _answer(session, text, speaking)
            message = await receive()
    finally:
        for task in speaking:
            task.cancel()


async def _answer(session: Session, text: str, speaking: set[asyncio.Task[None]]) -> None:
    """Answers in order; what waits for the room, on the side, so that the client can go on talking."""
    if '"send_message"' not in text:
        await session.hear(text)
        return
    task = asyncio.create_task(session.hear(text))
    speaking.add(task)
    task.add_done_callback(speaking.discard)


async def _close(send: Send, code: Close, reason: str) -> None:
    await send({"type": "websocket.close", "code": int(code), "reason": reason[:120]})
