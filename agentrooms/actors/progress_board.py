"""How far live deals are, in Redis, for who watches a room. It may be lost at any time; the log tells what counts.

`room:{id}:progress` is a sorted set, deals by percent; a percent in it never falls. Each step also goes out on the
channel of the same name. Only the newest of what waits to be written is kept, and a Redis that is away is not
waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec
import redis

from agentrooms.domain.progress import Stage, at_percent
from agentrooms.services.redis import client

LIVES_S = 300  # after a room's last step; no live deal takes so long
WAITING_MAX = 10_000  # deals whose step waits to be written; those of others are dropped
RETRY_S = 1.0  # how long Redis is left alone after it did not answer


class Shown(msgspec.Struct, frozen=True):
    """What goes out on the channel."""

    deal: str
    stage: Stage
    percent: int


def progress_key(room: str) -> str:
    """Returns the key, and the channel, of a room's progress."""
    return f"room:{room}:progress"


class ProgressBoard:
    """Writes progress on a thread of its own."""

    def __init__(self, redis_url: str, waiting_max: int = WAITING_MAX) -> None:
        self._redis = client(redis_url)
        self._waiting_max = waiting_max
        self._waiting: dict[tuple[str, str], int | None] = {}
        self._changed = threading.Condition()
        self.dropped = 0
        threading.Thread(target=self._run, name="progress", daemon=True).start()

    def note(self, room: str, percents: Mapping[str, int | None]) -> None:
        """Has deals of a room shown at these percents, those with None no longer. Returns at once."""
        with self._changed:
            for deal, percent in percents.items():
                key = (room, deal)
                if key not in self._waiting and len(self._waiting) >= self._waiting_max:
                    self.dropped += 1
                    continue
                self._waiting[key] = percent
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                taken, self._waiting = self._waiting, {}
            try:
                self._write(taken)
            except (redis.RedisError, OSError):
                time.sleep(RETRY_S)
                with self._changed:
                    self.dropped += len(taken)

    def _write(self, taken: Mapping[tuple[str, str], int | None]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for (room, deal), percent in taken.items():
            key = progress_key(room)
            if percent is None:
                pipeline.zrem(key, deal)
                continue
            pipeline.zadd(key, {deal: percent}, gt=True)
            pipeline.expire(key, LIVES_S)
            pipeline.publish(key, msgspec.json.encode(Shown(deal, at_percent(percent), percent)))
        pipeline.execute()
