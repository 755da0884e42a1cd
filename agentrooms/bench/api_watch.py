"""A process of many socket clients that watch rooms, as cheap as can be: one loop, frames read by hand.

It shares the machine with what it measures, so what it spends on a frame is kept far below what the server does.
"""

from __future__ import annotations

import base64
import os
import secrets
import selectors
import socket
import sys
import time
from array import array
from collections import Counter

import msgspec

from agentrooms.bench.api_talk import SEQ, STAMP, STAMP_DIGITS
from agentrooms.bench.api_worker import say

READ_BYTES = 65_536
CONNECTING = 50  # clients that connect at once
CONNECT_S = 60.0
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
SHORT, LONG = 125, 126  # lengths in the header of a frame itself, and in the two bytes behind it


class Watch(msgspec.Struct, frozen=True):
    """What is asked: `connect` so many clients to rooms in turn, `collect` what came up to `heads`, or `leave`."""

    do: str
    port: int = 0
    clients: int = 0
    rooms: tuple[str, ...] = ()
    heads: dict[str, int] = {}
    patience_s: float = 0.0


class Watched(msgspec.Struct, frozen=True):
    """What came since the last time: frames, ages of messages, what is missing, why clients were closed, one frame."""

    frames: int
    ages_s: list[float]
    missing: int
    closed: dict[str, int]
    sample: str


class Client:
    """One client: it knows the last event it got."""

    __slots__ = ("link", "rest", "room", "seq", "why")

    def __init__(self, link: socket.socket, room: str) -> None:
        self.link = link
        self.room = room
        self.rest = b""
        self.seq = 0
        self.why = 0  # it was closed


class Watching:
    """All clients of this process."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        self._ages_ns = array("q")
        self._frames = self._gaps = 0
        self._sample = b""
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)

    def run(self) -> None:
        """Does what is asked until stdin ends, and reads what comes meanwhile."""
        decoder, lines = msgspec.json.Decoder(Watch), b""
        say({})
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, Client):
                    self._read(key.data)
                    continue
                told = os.read(key.fd, READ_BYTES)
                if not told:
                    return
                *whole, lines = (lines + told).split(b"\n")
                for line in whole:
                    say(self._do(decoder.decode(line)))

    def _do(self, asked: Watch) -> object:
        match asked.do:
            case "connect":
                for first in range(0, asked.clients, CONNECTING):
                    self._connect(asked, range(first, min(first + CONNECTING, asked.clients)))
                self._frames = 0
                return {}
            case "collect":
                return self._collect(asked)
            case _:
                for client in self.clients:
                    self._drop(client)
                self.clients = []
                return {}

    def _connect(self, asked: Watch, numbers: range) -> None:
        """Lets some clients join; what comes before all have joined is theirs already."""
        joining = []
        for number in numbers:
            link = socket.create_connection(("127.0.0.1", asked.port), CONNECT_S)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.sendall(_handshake(asked.port))
            joining.append(Client(link, asked.rooms[number % len(asked.rooms)]))
        for client in joining:
            while b"\r\n\r\n" not in client.rest:
                client.rest += _received(client.link)
            head, _, client.rest = client.rest.partition(b"\r\n\r\n")
            assert b" 101 " in head.splitlines()[0], head
            client.link.sendall(
                _masked(TEXT, b'{"type":"spectate"}')
                + _masked(TEXT, msgspec.json.encode({"type": "join_room", "roomId": client.room}))
            )
        for client in joining:
            while not client.seq:
                client.rest += _received(client.link)
                self._frames_of(client, time.monotonic_ns())
            client.link.setblocking(False)
            self._selector.register(client.link, selectors.EVENT_READ, client)
        self.clients += joining

    def _collect(self, asked: Watch) -> Watched:
        """Reads until every client has the last event of its room, or patience ends; returns what came so far."""
        deadline_s = time.monotonic() + asked.patience_s
        while time.monotonic() < deadline_s and self._missing(asked.heads):
            for key, _ in self._selector.select(0.05):
                if isinstance(key.data, Client):
                    self._read(key.data)
        found = Watched(
            self._frames,
            [age / 1e9 for age in self._ages_ns],
            self._missing(asked.heads) + self._gaps,
            dict(Counter(str(client.why) for client in self.clients if client.why)),
            self._sample.decode(),
        )
        self._frames = self._gaps = 0
        self._ages_ns = array("q")
        return found

    def _missing(self, heads: dict[str, int]) -> int:
        return sum(max(0, heads.get(client.room, 0) - client.seq) for client in self.clients if not client.why)

    def _read(self, client: Client) -> None:
        try:
            received = client.link.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            client.why = client.why or 1006
            self._drop(client)
            return
        client.rest = client.rest + received if client.rest else received
        self._frames_of(client, time.monotonic_ns())

    def _frames_of(self, client: Client, now_ns: int) -> None:
        """Takes whole frames out of what a client has received."""
        data, begin, end = client.rest, 0, len(client.rest)
        while begin + 2 <= end:
            size, body = data[begin + 1], begin + 2
            if size > SHORT:
                wide = 2 if size == LONG else 8
                body += wide
                size = int.from_bytes(data[begin + 2 : body]) if body <= end else end
            after = body + size
            if after > end:
                break
            kind = data[begin]
            if kind == TEXT:
                self._frames += 1
                self._heard(client, data, body, after, now_ns)
            elif kind == PING:
                client.link.sendall(_masked(PONG, data[body:after]))
            elif kind == CLOSE:
                client.why = int.from_bytes(data[body : body + 2])
                self._drop(client)
                return
            begin = after
        client.rest = data[begin:]

    def _heard(self, client: Client, data: bytes, body: int, end: int, now_ns: int) -> None:
        found = data.find(SEQ, body, end)
        if found < 0:
            return
        number = found + len(SEQ)
        if not client.seq:
            client.seq = msgspec.json.decode(data[body:end], type=_Joined).seq
            return
        stamp = data.find(STAMP, number, end) + len(STAMP)
        seq = int(data[number : data.index(b",", number, end)])
        self._gaps += seq != client.seq + 1
        client.seq = seq
        self._ages_ns.append(now_ns - int(data[stamp : stamp + STAMP_DIGITS]))
        if not self._sample:
            self._sample = data[body:end]

    def _drop(self, client: Client) -> None:
        if client.link.fileno() >= 0:
            self._selector.unregister(client.link)
            client.link.close()


class _Joined(msgspec.Struct, tag_field="type", tag="joined"):
    seq: int


def _received(link: socket.socket) -> bytes:
    received = link.recv(READ_BYTES)
    assert received, "the server has closed the connection"
    return received


def _handshake(port: int) -> bytes:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = (
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join((*lines, "", "")).encode()


def _masked(kind: int, payload: bytes) -> bytes:
    """Returns a short frame of a client. Its mask is zeros: nobody stands between whom it could protect."""
    assert len(payload) <= SHORT
    return bytes((kind, 0x80 | len(payload), 0, 0, 0, 0)) + payload


if __name__ == "__main__":
    Watching().run()
