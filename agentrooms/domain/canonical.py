"""Canonical bytes and digests: the one encoding that is stored, hashed, signed and compared.

JSON with sorted keys, no blanks, UTF-8 in NFC, integers only (RFC 8785 in spirit, without floats).
"""

from __future__ import annotations

import hashlib
import unicodedata

import msgspec

from agentrooms.errors import InvalidInput

_ENCODER = msgspec.json.Encoder(order="sorted")


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
    """Returns `text` in normal form C without control characters; for every text that enters from outside."""
    kept = (c for c in text if unicodedata.category(c) not in {"Cc", "Cs"})
    return unicodedata.normalize("NFC", "".join(kept)).strip()
