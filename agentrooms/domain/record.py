"""An agent's public record: what the room has seen it do and suffer. Counted, never timed by a clock.

Strategies, moods and the message rate read it; it holds nothing that others in the room could not count.
"""

from __future__ import annotations

import msgspec

MESSAGES_A_MINUTE = 10  # the PRD's limit, in room time
MINUTE_MS = 60_000


class Record(msgspec.Struct, frozen=True, gc=False):
    """Counts about one agent. Prices in micro-USDC, rounds since the room opened."""

    said: int = 0
    last_round: int = -1
    recent_rounds: tuple[int, ...] = ()
    first_price_usdc_micros: int | None = None
    last_price_usdc_micros: int | None = None
    refusals: int = 0
    refusals_in_row: int = 0
    overtaken: int = 0
    concessions_received: int = 0
    last_concession_usdc_micros: int = 0
    lost_deals: int = 0
    addressed_round: int = -1
    addressed_by: str = ""
    led: bool = False

    @property
    def addressed(self) -> bool:
        """Whether somebody has spoken to the agent since it last spoke."""
        return self.addressed_round > self.last_round


def may_speak(record: Record, round_: int, round_ms: int) -> bool:
    """Tells whether one more message of an agent keeps within the rate."""
    return within_rate(record.recent_rounds, round_, round_ms)


def within_rate(recent: tuple[int, ...], round_: int, round_ms: int) -> bool:
    """Tells whether one more message after those of the `recent` rounds is in time, counting back one minute."""
    if len(recent) < MESSAGES_A_MINUTE:
        return True
    return (round_ - recent[-MESSAGES_A_MINUTE]) * round_ms >= MINUTE_MS
