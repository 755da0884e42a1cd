"""Frames of WebSocket, encoded once for all clients that get them: uvicorn would encode each again for each client."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

SEND_FRAMES = "agentrooms.send"  # the one message to the server that ASGI does not know: `data`, whole frames


def frame_of(text: str) -> bytes:
    """Returns a text as a server's frame (RFC 6455, 5.2), for clients with whom no extension was agreed."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


class FramesProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which also sends frames as they are."""

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's messages and one more
        """Sends as ASGI says, SEND_FRAMES too. Raises ClientDisconnected."""
        if message["type"] != SEND_FRAMES:
            await super().send(message)
            return
        if not self.writable.is_set():
            await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        self.transport.write(message["data"])
