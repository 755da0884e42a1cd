"""A live room as it grows, from its log. Redis only says when to look, so no line is lost when it does not."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator

import redis

from agentrooms.actors.broadcast import channel
from agentrooms.cli.lines import Line, Reader
from agentrooms.cli.live import Scene
from agentrooms.domain.room import Room, RoomStatus
from agentrooms.events.journal import Journal
from agentrooms.events.store import EventStore

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

    def scene(self, about: str) -> Scene:
        """Returns what a frame shows now."""
        return Scene(
            room=self.room,
            lines=tuple(self.lines),
            floors=tuple(self.floors),
            about=f"{about}  round {self.room.round}",
            keys="Ctrl-C ends",
        )


class Wake:
    """Waits for news of one room."""

    def __init__(self, subscription: redis.client.PubSub) -> None:
        self._subscription = subscription

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
    client = redis.Redis.from_url(redis_url)
    subscription = client.pubsub()  # type: ignore[no-untyped-call]
    with contextlib.suppress(redis.RedisError):
        subscription.subscribe(channel(room))
    try:
        yield Wake(subscription)
    finally:
        with contextlib.suppress(redis.RedisError):
            subscription.close()
            client.close()
