"""Frames: what the log writer tells whoever watches a room, through Redis. They may be lost; the log is not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentrooms.events.catalogue import BY_NAME
from agentrooms.events.frames import Publish
from agentrooms.events.record import PLATFORM, decode_line
from agentrooms.events.store import Positioned
from agentrooms.services.redis import client


class Frame(msgspec.Struct, frozen=True):
    """One event on its way to watchers. `line` is None for a private event, of which only the number goes out."""

    position: int
    chain: str
    seq: int
    line: msgspec.Raw | None


_ENCODER = msgspec.json.Encoder()


def encode_frame(positioned: Positioned) -> tuple[str, bytes]:
    """Returns a frame's channel and bytes."""
    recorded = decode_line(positioned.event.data)
    line = None if BY_NAME[recorded.type].private else msgspec.Raw(recorded.line)
    frame = Frame(positioned.position, recorded.chain, recorded.seq, line)
    return channel(recorded.chain), _ENCODER.encode(frame)


def channel(chain: str) -> str:
    """Returns the channel of a chain's frames (PRD 7.1)."""
    return PLATFORM if chain == PLATFORM else f"room:{chain}"


def publisher(redis_url: str | None) -> Publish | None:
    """Returns what publishes appended events, None without Redis. It raises RedisError while Redis is gone."""
    if redis_url is None:
        return None
    redis = client(redis_url)

    def publish(events: Sequence[Positioned]) -> None:
        pipe = redis.pipeline(transaction=False)
        for event in events:
            pipe.publish(*encode_frame(event))
        pipe.execute()

    return publish
