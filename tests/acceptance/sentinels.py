"""Searching for amounts that must stay secret, however they are written, wherever a program may leave them.

An amount is looked for as digits, in hex, as bytes, and in base64 of all these, whatever stands before it there.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import redis

USDC_MICROS = 1_000_000
AROUND_BYTES = 60  # shown of what stands around a find
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
OVERLAP_BYTES = 256  # of two chunks of a file; longer than any spelling
CHUNK_BYTES = 8 << 20

Piece = tuple[str, bytes]
"""Where something was found, and its bytes."""


@dataclass(frozen=True, slots=True)
class Found:
    """An amount at a place, in one of its spellings."""

    name: str
    spelling: str
    place: str
    around: str


class Searcher:
    """Looks for amounts (micro-USDC by name) that are pairwise different."""

    def __init__(self, amounts: Mapping[str, int]) -> None:
        self._patterns = {name: _pattern(spellings(micros)) for name, micros in amounts.items()}

    def search(self, place: str, data: bytes) -> list[Found]:
        """Returns the first find of each spelling of each amount."""
        found: dict[tuple[str, str], Found] = {}
        for name, pattern in self._patterns.items():
            for match in pattern.finditer(data):
                spelling = cast("str", match.lastgroup)
                around = data[max(0, match.start() - AROUND_BYTES) : match.end() + AROUND_BYTES]
                found.setdefault((name, spelling), Found(name, spelling, place, repr(around)))
        return list(found.values())

    def search_all(self, pieces: Iterable[Piece]) -> list[Found]:
        """Returns what is found in all pieces."""
        return [found for place, data in pieces for found in self.search(place, data)]

    def names(self, data: bytes) -> set[str]:
        """Returns which amounts are in some bytes."""
        return {found.name for found in self.search("", data)}


def spellings(micros: int) -> dict[str, list[bytes]]:
    """Returns regular expressions of what an amount looks like, by kind."""
    whole, cents = divmod(micros // (USDC_MICROS // 100), 100)
    assert micros % (USDC_MICROS // 100) == 0, "prices have whole cents"
    decimals = [
        f"{text}{point}{cents:02}"
        for text, point in (
            *((f"{whole}", point) for point in ".,"),
            *((f"{whole:,}".replace(",", mark), ".") for mark in (",", "_", " ", "'", "\u202f")),
            (f"{whole:,}".replace(",", "."), ","),
        )
    ]
    integers = [f"{micros}", *(f"{micros:,}".replace(",", mark) for mark in (",", "_", " ", "."))]
    raws = [
        micros.to_bytes((micros.bit_length() + 7) // 8, "big"),
        micros.to_bytes((micros.bit_length() + 7) // 8, "little"),
        struct.pack(">d", micros / USDC_MICROS),
        struct.pack("<d", micros / USDC_MICROS),
    ]
    hexes = [f"{micros:x}", raws[1].hex()]
    plain = [text.encode() for text in dict.fromkeys(decimals + integers)]
    encoded = [*plain, *(one.encode() for one in hexes), *(one.upper().encode() for one in hexes), *raws]
    return {
        "decimal": [_digits(text) for text in decimals],
        "micros": [_digits(text) for text in integers],
        "hex": [f"(?i:{one})".encode() for one in hexes],  # of any length: an ABI word ends with it
        "bytes": [re.escape(one) for one in raws],
        "base64": [re.escape(one) for text in encoded for one in in_base64(text)],
    }


def in_base64(data: bytes) -> list[bytes]:
    """Returns what of a text in base64 is the same whatever stands before and after some bytes, both alphabets."""
    found = []
    for before in range(3):
        bits_before, bits = 8 * before, 8 * (before + len(data))
        first, last = -(-bits_before // 6), bits // 6
        text = base64.b64encode(bytes(before) + data + bytes(3))[first:last]
        found += [text, text.translate(_URL_SAFE)]
    return list(dict.fromkeys(found))


def _digits(text: str) -> bytes:
    """Returns an expression for a number that is not a part of a longer one."""
    return rb"(?<![0-9])" + re.escape(text.encode()) + rb"(?![0-9])"


def _pattern(kinds: dict[str, list[bytes]]) -> re.Pattern[bytes]:
    return re.compile(
        b"|".join(b"(?P<" + kind.encode() + b">" + b"|".join(some) + b")" for kind, some in kinds.items())
    )


def redis_pieces(client: redis.Redis) -> Iterator[Piece]:
    """Yields every key of a Redis with its value, whatever its type."""
    for key in client.scan_iter(count=1_000):
        raw = cast("bytes", key)
        yield f"redis key {raw!r}", raw
        yield f"redis value of {raw!r}", repr_of(_value(client, raw))


def _value(client: redis.Redis, key: bytes) -> object:
    match cast("Any", client.type(key)):
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"stream":
            return client.xrange(key)
        case b"none":
            return b""  # it has ended meanwhile
        case other:
            raise AssertionError(f"a type of Redis that is not searched: {other}")


def repr_of(value: object) -> bytes:
    """Returns the bytes of all texts and numbers in a value."""
    match value:
        case bytes():
            return value
        case dict():
            return b"\n".join(repr_of(one) for pair in value.items() for one in pair)
        case list() | tuple() | set():
            return b"\n".join(map(repr_of, value))
        case _:
            return str(value).encode()


def folder_pieces(folder: Path, is_searched: Any = lambda _path: True) -> Iterator[Piece]:
    """Yields the files of a folder in chunks that overlap."""
    for path in sorted(folder.rglob("*")):
        if not path.is_symlink() and path.is_file() and is_searched(path.relative_to(folder)):
            with path.open("rb") as file:
                kept = b""
                while chunk := file.read(CHUNK_BYTES):
                    yield str(path.relative_to(folder)), kept + chunk
                    kept = chunk[-OVERLAP_BYTES:]


def zip_pieces(name: str, data: bytes) -> Iterator[Piece]:
    """Yields the files of an archive, unpacked, and their names."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for one in archive.namelist():
            yield f"{name}/{one}", one.encode() + b"\n" + archive.read(one)
