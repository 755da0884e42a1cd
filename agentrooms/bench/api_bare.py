"""The baseline of the API's bench: the least that a uvicorn application needs to send strings through queues to clients.

It says the same strings at the same times to as many clients, each with a queue and one task that sends; nothing is
read from a log or from Redis, and nobody is asked who they are.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send
from uvicorn import Server

from agentrooms.api.server import config_of
from agentrooms.bench.api_talk import SEQ, STAMP, STAMP_DIGITS, Said
from agentrooms.bench.api_worker import say


class Template:
    """A frame of the API, in which the number and the time are others each time."""

    def __init__(self, frame: bytes) -> None:
        number = frame.index(SEQ) + len(SEQ)
        after = frame.index(b",", number)
        stamp = frame.index(STAMP) + len(STAMP)
        assert after < stamp
        self._head, self._middle = frame[:number].decode(), frame[after:stamp].decode()
        self._tail = frame[stamp + STAMP_DIGITS :].decode()

    def frame(self, seq: int, at_ns: int) -> str:
        """Returns a frame."""
        return f"{self._head}{seq}{self._middle}{at_ns:0{STAMP_DIGITS}d}{self._tail}"


class Queue:
    """What waits for one client."""

    __slots__ = ("_waiter", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, text: str) -> None:
        """Adds a string."""
        self._waiting.append(text)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def send_to(self, send: Send) -> None:
        """Sends what waits, in order, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            while self._waiting:
                await send({"type": "websocket.send", "text": self._waiting.popleft()})
            self._waiter = loop.create_future()
            await self._waiter


class Bare:
    """The application: clients at /ws, and /talk, which speaks for a while and tells what was said."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._queues: dict[str, dict[Queue, None]] = {}
        self._seqs: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection or request."""
        if scope["type"] == "websocket":
            await self._connected(receive, send)
        elif scope["type"] == "http":
            asked = parse_qs(scope["query_string"].decode())
            said = await self._talk(float(asked["rate"][0]), float(asked["seconds"][0]))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": msgspec.json.encode(said)})
        else:
            await _lifespan(receive, send)

    async def _connected(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()  # that it only watches
        room: str = msgspec.json.decode((await receive())["text"])["roomId"]
        queue = Queue()
        queue.put(f'{{"type":"joined","roomId":"{room}","seq":{self._seqs.setdefault(room, 1)}}}')
        watching = self._queues.setdefault(room, {})
        watching[queue] = None
        sending = asyncio.create_task(queue.send_to(send))
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            del watching[queue]
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _talk(self, rate: float, seconds: float) -> Said:
        every_s, times = 1 / rate, max(1, round(rate * seconds))
        begin_s, rooms = time.monotonic(), list(self._queues)
        for beat in range(times):
            for n, room in enumerate(rooms):
                due_s = begin_s + (beat + n / len(rooms)) * every_s
                if (left_s := due_s - time.monotonic()) > 0:
                    await asyncio.sleep(left_s)
                self._seqs[room] += 1
                text = self._template.frame(self._seqs[room], int(due_s * 1e9))
                for queue in self._queues[room]:
                    queue.put(text)
        return Said(times * len(rooms), dict(self._seqs), time.monotonic() - begin_s, [], 0)


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _end_with_stdin(server: Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


def main() -> None:
    """Serves until stdin ends."""
    parser = argparse.ArgumentParser(prog="agentrooms.bench.api_bare")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--template", type=Path, required=True)
    given = parser.parse_args()
    app = Bare(Template(given.template.read_bytes()))
    with socket.socket(fileno=given.fd) as listener:
        server = Server(config_of(app))
        threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
        say({})  # it listens already; who connects now, waits
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
