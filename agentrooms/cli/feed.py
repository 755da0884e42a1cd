"""A live room as it grows, from its log. Redis only says when to look, so no line is lost when it does not."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Mapping

import redis

from agentrooms.actors.broadcast import channel
from agentrooms.actors.progress_board import progress_key
from agentrooms.cli.lines import Line, Reader, progress_line
from agentrooms.cli.live import Scene
from agentrooms.domain import progress
from agentrooms.domain.progress import further
from agentrooms.domain.room import Room, RoomStatus
from agentrooms.events.journal import Journal
from agentrooms.events.store import EventStore
from agentrooms.projections.redis_stats import RETRY_S, progress_of
from agentrooms.services.redis import client

LINES_KEPT = 200
FLOORS_KEPT = 200
POLL_S = 0.25  # how long a new event waits at most when nobody says that it is there


class Feed:
    """One room's lines and floors, as far as they have been read."""

    def __init__(self, store: EventStore, room: str) -> None:
        self.id = room
        self.lines: deque[Line] = deque(maxlen=LINES_KEPT)
        self.floors: deque[int] = deque(maxlen=FLOORS_KEPT)
        self._journal = Journal(store, room)
        self._reader = Reader(Room())

        self._percents: dict[str, int] = {}  # of live deals, as last shown

    @property
    def room(self) -> Room:
        """The room as far as it has been read."""
        return self._reader.room

    @property
    def over(self) -> bool:
        """Whether the room has closed."""
        return bool(self.room.id) and self.room.status is RoomStatus.INACTIVE

    def read(self) -> list[Line]:
        """Returns the lines of what was appended since the last look."""
        new = []
        for recorded in self._journal.load():
            line = self._reader.read(recorded.event)
            if line is not None:
                new.append(line)
            floor = self.room.floor
            if floor is not None and (not self.floors or self.floors[-1] != floor):
                self.floors.append(floor)
        self.lines.extend(new)
        return new

    def hear(self, told: Mapping[str, int]) -> list[Line]:
        """Learns how far live deals are; returns a line for each that has come to another stage. None ever goes back."""
        new, shown = [], self._percents
        self._percents = {}
        for deal in self.room.live_deals():
            name = deal.terms.deal
            known = further(progress.of_deal(deal), told.get(name))
            stage, percent = further(known, shown.get(name))
            self._percents[name] = percent
            if stage is not progress.at_percent(shown.get(name, 0)):
                new.append(progress_line(deal, stage, percent))
        return new

    def scene(self, about: str) -> Scene:
        """Returns what a frame shows now."""
        return Scene(
            room=self.room,
            lines=tuple(self.lines),
            floors=tuple(self.floors),
            percents=dict(self._percents),
            about=f"{about}  round {self.room.round}",
            keys="Ctrl-C ends",
        )


class Wake:
    """Waits for news of one room, and knows how far its deals are."""

    def __init__(self, connection: redis.Redis, subscription: redis.client.PubSub, room: str) -> None:
        self._connection = connection
        self._subscription = subscription
        self._room = room
        self._away_until_s = 0.0

    def progress(self) -> dict[str, int]:
        """Returns what settlement last told of live deals, in percent; nothing while Redis is away."""
        if time.monotonic() < self._away_until_s:
            return {}
        try:
            return progress_of(self._connection, self._room)
        except (redis.RedisError, OSError):
            self._away_until_s = time.monotonic() + RETRY_S
            return {}

    def wait(self, seconds: float) -> None:
        """Returns when there may be news, at the latest after so many seconds, or POLL_S."""
        wait_s = min(seconds, POLL_S)
        begun = time.monotonic()
        try:
            self._subscription.get_message(ignore_subscribe_messages=True, timeout=wait_s)
            while self._subscription.get_message(ignore_subscribe_messages=True, timeout=0):
                pass
        except (redis.RedisError, OSError, RuntimeError):  # it is away, or just comes back: the log is looked at anyway
            time.sleep(max(0.0, wait_s - (time.monotonic() - begun)))


@contextlib.contextmanager
def waking(redis_url: str, room: str) -> Iterator[Wake]:
    """Gives what waits for a room's news."""
    connection = client(redis_url)
    subscription = connection.pubsub()  # type: ignore[no-untyped-call]
    with contextlib.suppress(redis.RedisError):
        subscription.subscribe(channel(room), progress_key(room))
    try:
        yield Wake(connection, subscription, room)
    finally:
        with contextlib.suppress(redis.RedisError):
            subscription.close()
            connection.close()
