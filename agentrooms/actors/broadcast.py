"""Frames: what the log writer tells whoever watches a room, through Redis. They may be lost; the log is not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import redis

from agentrooms.events.catalogue import BY_NAME
from agentrooms.events.frames import Publish
from agentrooms.events.record import PLATFORM, decode_line
from agentrooms.events.store import Positioned

TIMEOUT_S = 1.0  # a Redis that does not answer must not hold the frames of others back


class Frame(msgspec.Struct, frozen=True):
    """One event on its way to watchers. `line` is None for a private event, of which only the number goes out."""

    position: int
    chain: str
    seq: int
    line: msgspec.Raw | None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Frame)


def encode_frame(positioned: Positioned) -> tuple[str, bytes]:
    """Returns a frame's channel and bytes."""
    recorded = decode_line(positioned.event.data)
    line = None if BY_NAME[recorded.type].private else msgspec.Raw(recorded.line)
    frame = Frame(positioned.position, recorded.chain, recorded.seq, line)
    return channel(recorded.chain), _ENCODER.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Returns a frame. Raises msgspec.DecodeError for bytes that are none."""
    return _DECODER.decode(data)


def channel(chain: str) -> str:
    """Returns the channel of a chain's frames (PRD 7.1)."""
    return PLATFORM if chain == PLATFORM else f"room:{chain}"


def redis_client(redis_url: str) -> redis.Redis:
    """Returns a client that does not wait long: nothing of ours depends on Redis."""
    return redis.Redis.from_url(redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)


def publisher(redis_url: str | None) -> Publish | None:
    """Returns what publishes appended events, None without Redis. It raises RedisError while Redis is gone."""
    if redis_url is None:
        return None
    client = redis_client(redis_url)

    def publish(events: Sequence[Positioned]) -> None:
        pipe = client.pipeline(transaction=False)
        for event in events:
            pipe.publish(*encode_frame(event))
        pipe.execute()

    return publish
