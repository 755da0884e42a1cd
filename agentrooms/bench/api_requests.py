"""A process that asks an HTTP server over a few connections that stay open, each as soon as it is answered."""

from __future__ import annotations

import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import msgspec

from agentrooms.bench.api_worker import work_on

READ_BYTES = 65_536
PATIENCE_S = 60.0
LENGTH = b"content-length:"


class Load(msgspec.Struct, frozen=True):
    """What each connection asks for in turn: for so many seconds, or each request once, whichever ends first."""

    port: int
    lanes: tuple[tuple[str, ...], ...]
    seconds: float
    once: bool = False


class Answered(msgspec.Struct, frozen=True):
    """How long each answer took, how many had which status, and in how many seconds."""

    times_s: list[float]
    statuses: dict[str, int]
    took_s: float


def load(asked: Load) -> Answered:
    """Asks over all connections at once."""
    begun_s = time.monotonic()
    with ThreadPoolExecutor(len(asked.lanes)) as pool:
        lanes = list(pool.map(lambda lane: _asked(asked, lane), asked.lanes))
    took_s = time.monotonic() - begun_s
    statuses = Counter(status for _, found in lanes for status in found)
    return Answered([one for times, _ in lanes for one in times], dict(statuses), took_s)


def _asked(asked: Load, lane: tuple[str, ...]) -> tuple[list[float], list[str]]:
    times_s: list[float] = []
    statuses: list[str] = []
    end_s = time.monotonic() + asked.seconds
    requests = [one.encode() for one in lane]
    with socket.create_connection(("127.0.0.1", asked.port), PATIENCE_S) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests if asked.once else cycle(requests):
            begun_s = time.monotonic()
            if begun_s >= end_s:
                break
            link.sendall(request)
            statuses.append(_status(link))
            times_s.append(time.monotonic() - begun_s)
    return times_s, statuses


def _status(link: socket.socket) -> str:
    """Reads one whole answer; returns its status."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(link)
    head, _, body = received.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    at = head.lower().find(LENGTH)
    left = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) - len(body) if at >= 0 else 0
    while left > 0:
        left -= len(_more(link))
    return status


def _more(link: socket.socket) -> bytes:
    received = link.recv(READ_BYTES)
    if not received:
        raise ConnectionError("the server has closed the connection")
    return received


if __name__ == "__main__":
    work_on(load, Load)
