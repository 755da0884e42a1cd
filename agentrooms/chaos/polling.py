"""A client of the Socket.IO library, which polls: each message comes in a thread of its own, so it puts them in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Sequence

import httpx
import socketio  # type: ignore[import-untyped]

from agentrooms.chaos.seen import Frame, Seen

LOOK_S = 0.1
TIMEOUT_S = 12.0
PAGE = 1_000
MOVED_AFTER = (20, 120)  # events


class PollingWatcher:
    """Watches from the room's beginning; what came out of order waits for what is before it."""

    def __init__(self, seen: Seen, urls: Sequence[str], drawn: random.Random) -> None:
        self.seen = seen
        self.ends: Counter[str] = Counter()
        self._urls = urls
        self._url = urls[0]
        self._drawn = drawn
        self._lock = threading.Lock()
        self._waiting: dict[int, Frame] = {}
        self._heard: threading.Event | None = None  # the end of the connection whose events are taken
        seen.begin(0)

    async def run(self) -> None:
        """Watches, whatever happens."""
        stop = threading.Event()
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._watch, stop)
        finally:
            stop.set()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.is_set():
            io = socketio.Client(reconnection=False, request_timeout=TIMEOUT_S)
            ended = threading.Event()
            with self._lock:
                self._waiting, self._heard = {}, ended
                after = self.seen.last
            self._url = self._drawn.choice(self._urls)
            io.on("*", lambda _name, said, ended=ended: self._hear(said, ended))
            io.on("disconnect", ended.set)
            try:
                io.connect(self._url, transports=["polling"], wait_timeout=TIMEOUT_S)
                io.emit("join_room", {"roomId": self.seen.room, "after": after})
                self._stay(stop, ended)
            except socketio.exceptions.SocketIOError as error:
                self.ends[type(error).__name__] += 1
            with self._lock:
                self._heard = None
            with contextlib.suppress(socketio.exceptions.SocketIOError, OSError):
                io.disconnect()
            self.ends["polled"] += 1
            stop.wait(LOOK_S)

    def _stay(self, stop: threading.Event, ended: threading.Event) -> None:
        """Stays until the connection has ended, nothing has come for long, or it has enough."""
        last, silent_s = self.seen.last, 0.0
        enough = (last or 0) + self._drawn.randint(*MOVED_AFTER)
        while not ended.wait(LOOK_S) and not stop.is_set() and silent_s < TIMEOUT_S and (self.seen.last or 0) < enough:
            silent_s = silent_s + LOOK_S if self.seen.last == last else 0.0
            last = self.seen.last

    def _hear(self, said: Frame, ended: threading.Event) -> None:
        with self._lock:
            if ended is not self._heard:  # in a thread that was late
                return
            match said:
                case {"type": "joined"}:
                    if not said["recovered"]:
                        self._fill(said["seq"])
                        self._drain()
                case {"type": "error", "code": str(code)}:
                    self.ends[code] += 1
                    ended.set()
                case {"seq": int(seq), "roomId": str()}:
                    self._take(seq, said)

    def _fill(self, until: int) -> None:
        """Reads what is not sent again from the log; what cannot be read now, the next connection misses, too."""
        seen = self.seen
        with contextlib.suppress(httpx.TransportError):
            while (seen.last or 0) < until:
                query = {"after": seen.last or 0, "limit": min(PAGE, until - (seen.last or 0))}
                found = httpx.get(f"{self._url}/rooms/{seen.room}/events", params=query, timeout=TIMEOUT_S)
                if found.status_code != httpx.codes.OK:
                    break
                for frame in found.json()["events"]:
                    seen.take(frame)

    def _take(self, seq: int, frame: Frame) -> None:
        seen = self.seen
        if seq in self._waiting or seq <= (seen.last or 0):
            seen.fault(f"event {seq} came twice on one connection")
            return
        self._waiting[seq] = frame
        self._drain()

    def _drain(self) -> None:
        seen = self.seen
        while (due := (seen.last or 0) + 1) in self._waiting:
            seen.take(self._waiting.pop(due))
