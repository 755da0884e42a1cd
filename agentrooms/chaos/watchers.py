"""Clients of several kinds that watch a room through whatever happens, and note what they see."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from agentrooms.chaos.seen import Frame, Seen
from agentrooms.client import AsyncClient
from agentrooms.client.exchange import Session
from agentrooms.client.feed import RoomFeed

SILENCE_S = 12.0  # a heartbeat and a little: the connection is dead
OPEN_S = 10.0
PAUSE_S = (0.02, 0.3)  # before a client comes back
FRAME_BYTES_MAX = 16 * 1024 * 1024
PAGE = 1_000
MOVED_AFTER = (10, 80)  # events until a client does something of its own accord
BACK_EVENTS_MAX = 50  # that a client asks for again though it has them
PASSING = frozenset({"rate_limited", "unavailable"})  # errors after which one tries again
CLOSES = frozenset({1000, 1001, 1006, 1012, 1013, 4409})  # codes with which a connection may end here
SLOW_S = (1.0, 8.0)  # that a slow reader reads nothing
ASK_AGAIN_S = 5.0  # until a person says again what was not acknowledged


class Watcher(Protocol):
    """Watches until cancelled."""

    seen: Seen
    ends: Counter[str]  # how its connections ended

    async def run(self) -> None:
        """Watches, whatever happens."""


class FeedWatcher:
    """The Python client's feed; it moves to the other process now and then. With a session it is signed in."""

    def __init__(
        self, seen: Seen, urls: Sequence[str], drawn: random.Random, session: Session | None, after: int | None
    ) -> None:
        self.seen = seen
        self.ends: Counter[str] = Counter()
        self._urls = urls
        self._drawn = drawn
        self._session = session
        self._after = after

    async def run(self) -> None:
        """Watches, whatever happens."""
        seen = self.seen
        while True:
            url = self._drawn.choice(self._urls)
            silence_s = self._drawn.choice((3.0, SILENCE_S, 25.0))
            async with AsyncClient(url) as client:
                client.session = self._session or client.session
                after = self._after if seen.last is None else seen.last
                async with RoomFeed(client, seen.room, after=after, log_id=seen.log_id, silence_s=silence_s) as feed:
                    await feed.join()
                    if seen.first is None:
                        assert feed.seq is not None
                        seen.begin(feed.seq if after is None else after)
                    seen.log_id = feed.log_id
                    left = self._drawn.randint(*MOVED_AFTER)
                    async for frame in feed:
                        seen.take(frame.model_dump(mode="json"))
                        left -= 1
                        if not left:
                            break
            self.ends["moved"] += 1


class RawWatcher:
    """A client of `/ws` frame by frame, which holds every connection to the protocol: nothing missing, nothing twice."""

    def __init__(
        self, seen: Seen, urls: Sequence[str], drawn: random.Random, after: int | None, token: str = ""
    ) -> None:
        self.seen = seen
        self.ends: Counter[str] = Counter()
        self._urls = urls
        self._drawn = drawn
        self._after = after
        self._token = token
        self._url = urls[0]
        self._at = 0  # the last event on this connection
        self._joined = False
        self._left = 0  # events until it does something of its own accord
        self._queue_max: int | None = 16

    async def run(self) -> None:
        """Watches, whatever happens."""
        while True:
            self._url = self._drawn.choice(self._urls)
            try:
                await self._connected()
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd is not None else 1006
                self.ends[str(code)] += 1
                if code not in CLOSES:
                    self.seen.fault(f"a connection was closed with {code}")
            except (OSError, TimeoutError, WebSocketException, httpx.TransportError, _AgainError) as error:
                self.ends[type(error).__name__.strip("_")] += 1
            await asyncio.sleep(self._drawn.uniform(*PAUSE_S))

    # --- One connection -----------------------------------------------------------------------------------------

    async def _connected(self) -> None:
        async with connect(
            self._address(),
            compression=None,
            open_timeout=OPEN_S,
            close_timeout=0.5,
            ping_interval=None,
            max_queue=self._queue_max,
            max_size=FRAME_BYTES_MAX,
        ) as socket:
            self._joined = False
            self._left = self._drawn.randint(*MOVED_AFTER)
            await self._greet(socket)
            await self._join(socket, self._wanted())
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await self._next(socket)
                await self._hear(socket, message)

    def _address(self) -> str:
        return f"ws{self._url.removeprefix('http')}/ws"

    async def _greet(self, socket: ClientConnection) -> None:
        await self._say(socket, {"type": "auth", "token": self._token} if self._token else {"type": "spectate"})
        async with asyncio.timeout(SILENCE_S):
            told = await self._next(socket)
        if told["type"] == "error" and told["code"] in PASSING:
            raise _AgainError
        if told["type"] not in {"authenticated", "spectating"}:
            self.seen.fault(f"the first frame is {told['type']} {told.get('code', '')}")
            raise _AgainError

    async def _next(self, socket: ClientConnection) -> Frame:
        found: Frame = json.loads(await socket.recv())
        return found

    async def _say(self, socket: ClientConnection, message: Frame) -> None:
        await socket.send(json.dumps(message))

    def _wanted(self) -> int | None:
        return self._after if self.seen.last is None else self.seen.last

    async def _join(self, socket: ClientConnection, after: int | None) -> None:
        more = {} if after is None else {"after": after}
        known = {} if self.seen.log_id is None else {"logId": self.seen.log_id}
        await self._say(socket, {"type": "join_room", "roomId": self.seen.room, **more, **known})

    async def _hear(self, socket: ClientConnection, message: Frame) -> None:
        match message:
            case {"type": "joined"}:
                await self._take_joined(message)
            case {"seq": int(), "roomId": str()}:
                await self._take_event(socket, message)
            case {"type": "error", "code": str(code)}:
                if code not in PASSING:
                    self.seen.fault(f"error {code}: {message['message']}")
                raise _AgainError

    async def _take_joined(self, joined: Frame) -> None:
        seen, seq = self.seen, joined["seq"]
        if seen.log_id not in {None, joined["logId"]}:
            seen.fault("the log is another than before")
        seen.log_id = joined["logId"]
        self._joined, self._at = True, seq
        if joined["snapshot"] is not None:
            seen.snapshots.append((seq, joined["snapshot"], joined["recent"]))
        if seen.first is None:
            seen.begin(seq if self._after is None else self._after)
        assert seen.last is not None
        if seq > seen.last:
            await self._fill(seq)

    async def _take_event(self, socket: ClientConnection, frame: Frame) -> None:
        seen, seq = self.seen, frame["seq"]
        if not self._joined or seq != self._at + 1:
            seen.fault(f"event {seq} came behind event {self._at} on one connection")
            raise _AgainError
        self._at = seq
        assert seen.last is not None
        if seq <= seen.last:
            seen.again(frame)
            return
        seen.take(frame)
        self._left -= 1
        if self._left == 0:
            self._left = self._drawn.randint(*MOVED_AFTER)
            await self._of_its_own_accord(socket)

    async def _fill(self, until: int) -> None:
        """Reads what is not sent again from the log."""
        seen = self.seen
        async with httpx.AsyncClient(base_url=self._url, timeout=SILENCE_S) as http:
            while (seen.last or 0) < until:
                query = {"after": seen.last or 0, "limit": min(PAGE, until - (seen.last or 0))}
                found = await http.get(f"/rooms/{seen.room}/events", params=query)
                if found.status_code in {429, 503}:
                    raise _AgainError
                events = found.json()["events"] if found.status_code == 200 else []
                if not events:
                    seen.fault(f"GET events after {seen.last} up to {until}: {found.status_code}, none")
                    raise _AgainError
                for frame in events:
                    seen.take(frame)

    async def _of_its_own_accord(self, socket: ClientConnection) -> None:
        """Leaves in some way or asks again, as clients do."""
        last = self.seen.last
        assert last is not None
        match self._drawn.randrange(4):
            case 0:
                socket.transport.abort()
            case 1:
                await socket.close()
            case 2:
                await self._join(socket, max(0, last - self._drawn.randrange(BACK_EVENTS_MAX)))
            case 3:
                await self._say(socket, {"type": "leave_room", "roomId": self.seen.room})
                await self._join(socket, last)


class _AgainError(Exception):
    """This connection is given up."""


class SlowWatcher(RawWatcher):
    """Now and then it reads nothing for a while; where that is too much, it is told to come again and does."""

    def __init__(self, seen: Seen, urls: Sequence[str], drawn: random.Random, after: int | None) -> None:
        super().__init__(seen, urls, drawn, after)
        self._queue_max = 1

    async def _of_its_own_accord(self, socket: ClientConnection) -> None:
        self.ends["stopped reading"] += 1
        await asyncio.sleep(self._drawn.uniform(*SLOW_S))


class EngineIoWatcher(RawWatcher):
    """A client of Socket.IO over a WebSocket, packet by packet as a browser sends them."""

    def _address(self) -> str:
        return f"ws{self._url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"

    async def _greet(self, socket: ClientConnection) -> None:
        async with asyncio.timeout(SILENCE_S):
            await socket.recv()  # what the transport agrees on
            await socket.send("40")
            while (told := str(await socket.recv()))[:2] not in {"40", "44"}:
                pass
        if told[:2] == "44":
            raise _AgainError

    async def _next(self, socket: ClientConnection) -> Frame:
        while True:
            text = str(await socket.recv())
            if text == "2":
                await socket.send("3")
            elif text[:2] == "41" or text == "1":
                raise _AgainError
            elif text[:2] == "42":
                name, said = json.loads(text[2:])
                if name != said["type"]:
                    self.seen.fault(f"a {said['type']} came as {name}")
                return dict(said)

    async def _say(self, socket: ClientConnection, message: Frame) -> None:
        said = {name: value for name, value in message.items() if name != "type"}
        await socket.send(f"42{json.dumps([message['type'], said])}")

    async def _hear(self, socket: ClientConnection, message: Frame) -> None:
        if message.get("type") == "error" and message.get("code") in {"lagged", "restart"}:
            self.ends[str(message["code"])] += 1
            raise _AgainError
        await super()._hear(socket, message)


class Speaker(RawWatcher):
    """A person who watches, and says things until they are acknowledged."""

    def __init__(
        self, seen: Seen, urls: Sequence[str], drawn: random.Random, token: str, texts: dict[str, str]
    ) -> None:
        """`texts` is what it says, by the id of each message."""
        super().__init__(seen, urls, drawn, None, token)
        self._unsaid = dict(texts)
        self._acked = asyncio.Event()
        self._speaking: asyncio.Task[None] | None = None

    async def _connected(self) -> None:
        try:
            await super()._connected()
        finally:
            await self._cease()

    async def _cease(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)
            self._speaking = None

    async def _hear(self, socket: ClientConnection, message: Frame) -> None:
        match message:
            case {"type": "ack", "id": str(id_)}:
                if id_ in self._unsaid:
                    self.seen.acked[id_] = self._unsaid.pop(id_)
                    self._acked.set()
            case {"type": "error", "id": str(_), "code": str(code)} if code in PASSING:
                pass  # it is said again
            case _:
                await super()._hear(socket, message)
        if self._joined and self._speaking is None:
            self._speaking = asyncio.create_task(self._speak(socket))

    async def _speak(self, socket: ClientConnection) -> None:
        """Says one thing after the other until each is acknowledged."""
        with contextlib.suppress(WebSocketException, OSError):
            while self._unsaid:
                id_, text = next(iter(self._unsaid.items()))
                await self._say(socket, {"type": "send_message", "roomId": self.seen.room, "message": text, "id": id_})
                self._acked.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ASK_AGAIN_S):
                        await self._acked.wait()

    @property
    def has_said_all(self) -> bool:
        """Whether all is acknowledged."""
        return not self._unsaid


def texts_of(person: int, number: int) -> dict[str, str]:
    """Returns what a person says, by the id of each message."""
    return {f"m-{person}-{n}": f"Person {person} says thing {n} of {number}" for n in range(1, number + 1)}
