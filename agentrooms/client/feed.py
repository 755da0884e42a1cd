"""A room's events as they happen, each once and in order, however often the connection breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from agentrooms.api.asyncapi import SUBPROTOCOL
from agentrooms.api.models.frames import AnyEventFrame
from agentrooms.api.models.room_state import RoomState
from agentrooms.api.models.rooms import EventsPage
from agentrooms.api.models.socket import Authenticated, Error, Spectating
from agentrooms.client.following import FeedRefused, Filling, Following, Got, Joining, NotNow, Outcome, Steady, read
from agentrooms.client.problem import ApiUnreachable

SILENCE_S = 25.0  # without a frame, two heartbeats long: the connection is dead, whatever TCP believes
OPEN_S = 10.0
CLOSE_S = 2.0
PAUSE_S, PAUSE_MAX_S = 0.2, 30.0  # between attempts to connect; doubles in between
CROWDED_S = 5.0  # at least, when it was told that there are too many
CONNECTS_MAX = 60  # in vain, one after the other: about 25 minutes
FRAME_BYTES_MAX = 16 * 1024 * 1024  # a snapshot of the fullest room is a few megabytes
PAGE = 1_000  # events read at once

REFUSED = frozenset({4400, 4403})  # close codes that connecting again does not mend
REFUSED_TOKENS = frozenset({"not_signed_in", "token_expired", "token_invalid"})
UNAUTHORISED, CROWDED = 4401, 4429


class Source(Protocol):
    """What a feed needs of a client."""

    url: str

    async def token(self, stale: str) -> str:
        """Returns an access token other than one that is refused, "" for a spectator."""

    async def events(self, room: str, after: int, limit: int) -> EventsPage:
        """Returns events of a room behind one."""


class RoomFeed:
    """The events of one room from now on, or from behind `after` on: `async for frame in feed`.

    Raises FeedRefused for a room that cannot be watched, LogChanged when its log is another than before, and
    ApiUnreachable after CONNECTS_MAX attempts in vain. Where it stands is `seq` and `log_id`: with them another feed
    goes on where this one ended.
    """

    def __init__(
        self,
        source: Source,
        room: str,
        *,
        after: int | None = None,
        log_id: str | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._source = source
        self._following = Following(room, after, log_id)
        self._silence_s = silence_s
        self._ready: deque[AnyEventFrame] = deque()
        self._socket: ClientConnection | None = None
        self._token = ""
        self._token_refused = False
        self._in_vain = 0

    @property
    def seq(self) -> int | None:
        """The number of the last event that was given, None before the feed has begun."""
        return self._ready[0].seq - 1 if self._ready else self._following.seq

    @property
    def log_id(self) -> str | None:
        """The id of the log that is followed."""
        return self._following.log_id

    @property
    def snapshot(self) -> RoomState | None:
        """The room where the feed began, unless it began behind an event."""
        return self._following.snapshot

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyEventFrame:
        """Returns the next event; waits for it as long as it takes."""
        while not self._ready:
            try:
                if self._socket is None:
                    await self._connect()
                await self._hear()
            except (OSError, TimeoutError, WebSocketException, NotNow, ApiUnreachable) as error:
                await self._broken(error)
        self._in_vain = 0
        return self._ready.popleft()

    async def join(self) -> None:
        """Returns once the room is watched: all that happens from here on is given."""
        while self._following.seq is None or self._socket is None:
            try:
                if self._socket is None:
                    await self._connect()
                else:
                    await self._hear()
            except (OSError, TimeoutError, WebSocketException, NotNow, ApiUnreachable) as error:
                await self._broken(error)

    async def close(self) -> None:
        """Ends watching."""
        socket, self._socket = self._socket, None
        if socket is not None:
            with contextlib.suppress(WebSocketException, OSError):
                await socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connect(self) -> None:
        """Connects, says who it is, and asks for the room."""
        self._token = await self._source.token(self._token if self._token_refused else "")
        self._token_refused = False
        self._socket = await connect(
            f"ws{self._source.url.removeprefix('http')}/ws",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            ping_interval=None,  # heartbeats of the protocol say more
            max_size=FRAME_BYTES_MAX,
        )
        first = {"type": "auth", "token": self._token} if self._token else {"type": "spectate"}
        await self._socket.send(json.dumps(first))
        while not isinstance(told := read(await self._receive()), Authenticated | Spectating):
            if isinstance(told, Error):
                self._token_refused = told.code in REFUSED_TOKENS
                raise NotNow(told.message, hint=told.hint)
        await self._do(self._following.join())

    async def _hear(self) -> None:
        await self._do(self._following.take(await self._receive()))

    async def _receive(self) -> str | bytes:
        assert self._socket is not None, "it is connected"
        async with asyncio.timeout(self._silence_s):
            return await self._socket.recv()

    async def _do(self, outcome: Outcome) -> None:
        match outcome:
            case Got():
                self._ready.append(outcome.frame)
            case Joining():
                assert self._socket is not None, "it is connected"
                await self._socket.send(json.dumps(outcome.message))
            case Filling():
                await self._fill(outcome)
            case Steady():
                self._in_vain = 0  # a quiet room is no reason to give up

    async def _fill(self, gap: Filling) -> None:
        """Reads what was missed from the log; what comes meanwhile waits in the socket."""
        after = gap.after
        while after < gap.until:
            page = await self._source.events(self._following.room, after, PAGE)
            if not page.events:
                raise NotNow(f"event {after + 1} of {self._following.room} is not there yet")
            for frame in page.events:
                await self._do(self._following.take_frame(frame))
            after = page.events[-1].seq

    async def _broken(self, error: Exception) -> None:
        """Makes ready for the next attempt. Raises FeedRefused or ApiUnreachable when there is to be none."""
        await self.close()
        code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd is not None else 0
        if code in REFUSED:
            raise FeedRefused(f"the API closed the connection: {error}") from error
        self._token_refused |= code == UNAUTHORISED
        self._in_vain += 1
        if self._in_vain >= CONNECTS_MAX:
            raise ApiUnreachable(
                f"room {self._following.room} could not be watched in {CONNECTS_MAX} attempts: {error}",
                hint="begin again with `after` and `log_id` of this feed",
            ) from error
        longest_s = min(PAUSE_MAX_S, PAUSE_S * 2 ** min(self._in_vain - 1, 16))
        pause_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311 - many clients must not come back at once
        await asyncio.sleep(max(pause_s, CROWDED_S if code == CROWDED else 0.0))


class SyncRoomFeed:
    """The same for programs that wait: `for frame in feed`. Not for a thread in which an event loop runs."""

    def __init__(self, feed: RoomFeed) -> None:
        self._feed = feed
        self._runner = asyncio.Runner()

    @property
    def seq(self) -> int | None:
        """The number of the last event that was given, None before the feed has begun."""
        return self._feed.seq

    @property
    def log_id(self) -> str | None:
        """The id of the log that is followed."""
        return self._feed.log_id

    @property
    def snapshot(self) -> RoomState | None:
        """The room where the feed began, unless it began behind an event."""
        return self._feed.snapshot

    def join(self) -> None:
        """Returns once the room is watched: all that happens from here on is given."""
        self._runner.run(self._feed.join())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AnyEventFrame:
        return self._runner.run(self._feed.__anext__())

    def close(self) -> None:
        """Ends watching."""
        self._runner.run(self._feed.close())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
