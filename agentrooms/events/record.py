"""One line of the log: an event with its place and metadata, as canonical bytes in a hash chain.

Each line holds the hash of the line before it in its chain (one chain a room, one for roomless
events), so a changed, lost, swapped or inserted line shows at its place.
"""

from __future__ import annotations

import hashlib
import unicodedata

import msgspec

from agentrooms.domain.event import Event
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.catalogue import BY_TYPE, decode

PLATFORM = "platform"  # the chain of roomless events
GENESIS = "0" * 64


class BrokenLine(AgentroomsError):
    """Bytes that should be a line of the log are not one."""


class _Line(msgspec.Struct, frozen=True):
    at_ms: int
    chain: str
    cmd: str
    data: Event
    prev: str
    seq: int
    tags: tuple[str, ...]
    type: str
    v: int


class _RawLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at_ms: int
    chain: str
    cmd: str
    data: msgspec.Raw
    prev: str
    seq: int
    tags: tuple[str, ...]
    type: str
    v: int


_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(_RawLine)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """A decoded line. `seq` counts from 1 within `chain`; `at_ms` is room time."""

    chain: str
    seq: int
    at_ms: int
    cmd: str
    type: str
    tags: tuple[str, ...]
    event: Event
    prev: str
    line: bytes

    @property
    def hash(self) -> str:
        """The hash of the stored bytes, which the next line of the chain holds."""
        return line_hash(self.line)


def encode_line(event: Event, *, chain: str, seq: int, at_ms: int, cmd: str, tags: tuple[str, ...], prev: str) -> bytes:
    """Returns the canonical bytes of one line, without its line break. Raises InvalidInput for text not in NFC."""
    entry = BY_TYPE[type(event)]
    line = _ENCODER.encode(_Line(at_ms, chain, cmd, event, prev, seq, tags, entry.name, entry.version))
    if not line.isascii() and not unicodedata.is_normalized("NFC", line.decode()):
        raise InvalidInput(f"an event of type {entry.name} has a text that is not in Unicode normal form C")
    return line


def line_hash(line: bytes) -> str:
    """Returns the hash that the next line of the chain holds."""
    return hashlib.sha256(line).hexdigest()


def decode_line(line: bytes) -> Recorded:
    """Returns the decoded line. Raises BrokenLine or UnknownEvent."""
    try:
        raw = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenLine(f"not a line of an event log: {error}") from error
    event = decode(raw.type, raw.v, raw.data)
    return Recorded(raw.chain, raw.seq, raw.at_ms, raw.cmd, raw.type, raw.tags, event, raw.prev, line)
