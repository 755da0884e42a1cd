"""Canonical bytes and digests: the one encoding that is stored, hashed, signed and compared.

JSON with sorted keys, no blanks, UTF-8 in NFC, integers only (RFC 8785 in spirit, without floats).
"""

from __future__ import annotations

import hashlib
import unicodedata

import msgspec

from agentrooms.errors import InvalidInput

_ENCODER = msgspec.json.Encoder(order="sorted")
_JOINER = "\u200d"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # variation selectors, which emoji need too, are marks (Mn)


def canonical(value: object) -> bytes:
    """Returns the canonical JSON of a Struct, dict, list, string or integer.

    Raises InvalidInput when a string in it is not in Unicode normal form C: two texts that look
    alike must not have two hashes.
    """
    data = _ENCODER.encode(value)
    if not data.isascii() and not unicodedata.is_normalized("NFC", data.decode()):
        raise InvalidInput(
            "a text is not in Unicode normal form C", hint="normalise it where it enters (unicodedata.normalize)"
        )
    return data


def digest(purpose: str, data: bytes) -> str:
    """Returns the SHA-256 of `data` in hex, separated by `purpose` so that hashes of two kinds never meet."""
    return hashlib.sha256(purpose.encode() + b"\0" + data).hexdigest()


def normalise(text: str) -> str:
    """Returns `text` in normal form C without what cannot be seen; for every text that enters from outside.

    Control characters, line separators and formatting characters go, such as those that turn the
    direction of writing; the zero-width joiner stays, for emoji are joined by it.
    """
    kept = (c for c in text if c == _JOINER or unicodedata.category(c) not in _UNSEEN)
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def is_normal(text: str) -> bool:
    """Tells whether a text is what `normalise` makes of it."""
    return normalise(text) == text
