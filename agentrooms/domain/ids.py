"""Ids derived from what they name, and draws derived from what they are for. No shared state anywhere.

A draw is H(seed, purpose, agent, round, k): adding an agent, a round or a draw shifts no other draw.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

ID_BYTES = 8  # 64 bits: a collision among a million ids of one kind has a chance of 3e-8


def derive_id(kind: str, *parts: str | int) -> str:
    """Returns `<kind>_<13 base32 characters>` from the parts that make the thing unique."""
    name = "\x1f".join([kind, *map(str, parts)])
    raw = hashlib.blake2b(name.encode(), digest_size=ID_BYTES).digest()
    return f"{kind}_{base64.b32encode(raw).decode().rstrip('=').lower()}"


def seed_bytes(seed: int | str) -> bytes:
    """Returns the 16-byte key that stands for a seed in all its draws."""
    return hashlib.blake2b(str(seed).encode(), digest_size=16, person=b"agentrooms").digest()


def draw(seed: bytes, purpose: str, agent: str = "", round_: int = 0, k: int = 0) -> int:
    """Returns 64 uniform bits for one purpose; the same arguments always give the same bits."""
    name = f"{purpose}\x1f{agent}\x1f{round_}\x1f{k}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=seed).digest(), "big")


def draw_below(seed: bytes, bound: int, purpose: str, agent: str = "", round_: int = 0, k: int = 0) -> int:
    """Returns an integer in [0, bound). The bias of the modulus is below bound / 2**64."""
    return draw(seed, purpose, agent, round_, k) % bound


def picker(seed: bytes, purpose: str, agent: str, round_: int) -> Callable[[int], int]:
    """Returns `pick(bound)` whose successive calls give successive draws of one purpose, agent and round."""
    count = 0

    def pick(bound: int) -> int:
        nonlocal count
        count += 1
        return draw_below(seed, bound, purpose, agent, round_, count)

    return pick
