"""What a narrator is told: an act already decided, and nothing it could leak or change.

No field holds a reservation price, so no wording, scripted or by a model, can give one away.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from enum import StrEnum
from typing import Protocol

import msgspec

from agentrooms.domain.terms import ActKind, Mood, Role, Style

PRICED_ACTS = frozenset({ActKind.OFFER, ActKind.COUNTER})
"""Acts whose line names the own price exactly once."""

MONEY_ACTS = PRICED_ACTS | {ActKind.ACCEPT}
"""Acts whose line may name a price, and whose words differ by role; others hold no digit at all."""


class Happening(StrEnum):
    """What has just happened to the speaker; the line reacts to it first."""

    NONE = "none"
    UNDERCUT = "undercut"
    OUTBID = "outbid"
    NEAR = "near"
    THIRD_REFUSAL = "third_refusal"
    CONCEDED = "conceded"


class Cue(msgspec.Struct, frozen=True):
    """One act to be worded, with everything its words may rest on.

    `price_usdc_micros` is the act's own price in millionths of a USDC, -1 when it has none.
    `item` and `counterpart` are display names, empty when there is none to mention.
    `happening` is `conceded` when the counterparty moved.
    """

    act: ActKind
    style: Style
    mood: Mood
    role: Role
    item: str
    price_usdc_micros: int
    counterpart: str
    happening: Happening


class Wording(Protocol):
    """Anything that finds words for a cue."""

    def word(self, cue: Cue, pick: Callable[[int], int], recent: Container[str]) -> str:
        """Return one line for `cue`.

        `pick(n)` is the caller's counter-based draw in [0, n), so the same cue, draws and
        `recent` (the room's last 30 lines) always give the same line.
        """
        ...
