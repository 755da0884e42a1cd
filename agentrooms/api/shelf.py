"""Bytes kept in this process for a while: what is large would push out of Redis what other things rest on."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict


class Shelf:
    """Bytes by key, so many together; the one that was asked for longest ago makes room. Threads share it."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Returns what is kept under a key."""
        with self._lock:
            until_s, data = self._kept.get(key, (0.0, b""))
            if until_s <= time.monotonic():
                return None
            self._kept.move_to_end(key)
            return data

    def put(self, key: str, data: bytes, seconds: float) -> None:
        """Keeps bytes for a while; more than all that may be kept are not."""
        if len(data) > self._bytes_max:
            return
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop(key, (0.0, b""))[1])
            self._kept[key] = (time.monotonic() + seconds, data)
            while self._bytes > self._bytes_max:
                _key, (_until_s, oldest) = self._kept.popitem(last=False)
                self._bytes -= len(oldest)
