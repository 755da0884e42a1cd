"""What may go wrong with Redis between the log writer and those who pass events on: all of it must change nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence

import redis

from agentrooms.actors.broadcast import encode_frame
from agentrooms.events.store import Positioned

ECHOES = 20


def unsubscribe_all(cache: redis.Redis) -> int:
    """Breaks the connections of all that listen; returns how many. What is published meanwhile they do not hear."""
    try:
        return int(cache.client_kill_filter(_type="pubsub"))  # type: ignore[arg-type]
    except redis.RedisError:
        return 0


def echo(cache: redis.Redis, stored: Sequence[Positioned], drawn: random.Random) -> int:
    """Publishes events again, late, doubled and in any order, and what is no event; returns how many heard it."""
    chosen = drawn.choices(stored, k=ECHOES)
    pipe = cache.pipeline(transaction=False)
    for one in chosen:
        name, frame = encode_frame(one)
        pipe.publish(name, frame)
        pipe.publish(name, frame[: len(frame) // 2])
    try:
        return sum(map(int, pipe.execute()))
    except redis.RedisError:
        return 0
