"""A network that is not to be relied on: between clients and one API process, connections break, stall and lose frames."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket

LOOPBACK = "127.0.0.1"
READ_BYTES = 16_384
SEGMENT_BYTES = 1_400  # as over Ethernet; with segments of the loopback device the kernel alone would hold megabytes
BUFFER_BYTES = 16_384
HEAD_BYTES_MAX = 65_536
TEXT = 0x81  # the first byte of a WebSocket frame that is a whole text


class Relay:
    """Listens on a port of its own and passes bytes on to `target`. All of it runs in one event loop.

    A relay that is `losing` takes the frames of WebSockets apart, so that it can lose some.
    """

    def __init__(self, target: int, drawn: random.Random, *, losing: bool) -> None:
        self.frames_lost = 0
        self.port = 0
        self._target = target
        self._drawn = drawn
        self._losing = losing
        self._lost = 0.0
        self._server: asyncio.Server | None = None
        self._flows: set[_Flow] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        """Begins to listen."""
        listener = _small(socket.socket())
        listener.bind((LOOPBACK, 0))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=HEAD_BYTES_MAX)

    async def close(self) -> None:
        """Breaks all connections and takes no more."""
        if self._server is not None:
            self._server.close()
        self._flowing.set()
        self.cut(1.0)

    def cut(self, share: float) -> int:
        """Resets a share of the connections; returns how many."""
        return sum(flow.cut() for flow in self._some(share))

    def hush(self, share: float) -> int:
        """Lets nothing more through on a share of the connections, which neither end is told; returns how many."""
        chosen = self._some(share)
        for flow in chosen:
            flow.dead = True
        return len(chosen)

    def unhush(self) -> None:
        """Resets the connections on which nothing came through."""
        for flow in [flow for flow in self._flows if flow.dead]:
            flow.cut()

    def lose(self, share: float) -> None:
        """Loses this share of the texts that the API sends from now on."""
        assert self._losing, "frames are taken apart from the beginning of a connection"
        self._lost = share

    def hold(self) -> None:
        """Holds all that the API sends until `release`."""
        self._flowing.clear()

    def release(self) -> None:
        """Lets what was held go on, in order."""
        self._flowing.set()

    def _some(self, share: float) -> list[_Flow]:
        return [flow for flow in self._flows if self._drawn.random() < share]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = _small(socket.socket())
        upstream.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(upstream, (LOOPBACK, self._target))
            back, forth = await asyncio.open_connection(sock=upstream, limit=HEAD_BYTES_MAX)
        except OSError:
            upstream.close()
            writer.transport.abort()
            return
        flow = _Flow(writer, forth)
        self._flows.add(flow)
        ways = [
            asyncio.create_task(self._up(flow, reader)),
            asyncio.create_task(self._lossy(flow, back) if self._losing else self._down(flow, back)),
        ]
        try:
            with contextlib.suppress(OSError, EOFError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._flows.discard(flow)
            flow.end()

    async def _up(self, flow: _Flow, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(READ_BYTES):
            if not flow.dead:
                flow.forth.write(data)
                await flow.forth.drain()

    async def _down(self, flow: _Flow, back: asyncio.StreamReader) -> None:
        while data := await back.read(READ_BYTES):
            await self._pass(flow, data)

    async def _lossy(self, flow: _Flow, back: asyncio.StreamReader) -> None:
        """Passes an answer on; if it opens a WebSocket, frame by frame from there on."""
        head = await back.readuntil(b"\r\n\r\n")
        await self._pass(flow, head)
        if not head.startswith(b"HTTP/1.1 101 "):
            await self._down(flow, back)
            return
        while True:
            frame = await _frame(back)
            if frame[0] == TEXT and self._drawn.random() < self._lost:
                self.frames_lost += 1
            else:
                await self._pass(flow, frame)

    async def _pass(self, flow: _Flow, data: bytes) -> None:
        await self._flowing.wait()
        if not flow.dead:
            flow.writer.write(data)
            await flow.writer.drain()


class _Flow:
    """One connection through a relay. `dead`: nothing comes through any more."""

    def __init__(self, writer: asyncio.StreamWriter, forth: asyncio.StreamWriter) -> None:
        self.writer, self.forth = writer, forth
        self.dead = False

    def cut(self) -> bool:
        """Resets both sides."""
        self.writer.transport.abort()
        self.forth.transport.abort()
        return True

    def end(self) -> None:
        """Closes both sides, what was passed on first."""
        self.writer.close()
        self.forth.close()


async def _frame(back: asyncio.StreamReader) -> bytes:
    """Returns one frame as a server sends it: without a mask."""
    head = await back.readexactly(2)
    more = {126: 2, 127: 8}.get(head[1], 0)
    length = await back.readexactly(more)
    return head + length + await back.readexactly(int.from_bytes(length) if more else head[1])


def _small(made: socket.socket) -> socket.socket:
    """Lets the kernel keep little of a connection, so that a client that does not read is felt by who sends to it."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return made
