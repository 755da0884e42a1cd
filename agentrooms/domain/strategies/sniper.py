"""Sniper: watches in silence, takes a good price at once, and shoots near the end."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.strategies.moves import between, propose, remark, retract, takes
from agentrooms.domain.terms import StrategyName

GOOD_PERMILLE = 300  # a price that costs it at most this share of its range is worth a shot
NARROW_PERMILLE = 30  # so is one within its limit when the spread of the market is this small
LATE_PERMILLE = 750
OPEN_PERMILLE = 120  # somebody must open: in a room without quotes even a sniper does, after this
EXPOSED_ROUNDS = 30  # it does not leave a quote standing long


class Sniper:
    """Kaplan's sniper (Rust, Miller and Palmer 1994) with an opening duty, so a room of snipers still trades."""

    name = StrategyName.SNIPER
    pace_rounds = 3

    def decide(self, s: Situation) -> Act | None:
        """Takes a good price or a narrow spread; is silent early; quotes on a steep ramp when late."""
        ramp = self._ramp(s.elapsed_permille)
        taken = takes(s, between(s, max(GOOD_PERMILLE, ramp)))
        if taken is None and self._narrow(s):
            taken = takes(s, s.mandate.reservation_usdc_micros)
        if taken is not None:
            return taken
        if s.elapsed_permille >= LATE_PERMILLE:
            return propose(s, between(s, ramp), "closing_ramp") if s.dice(2, "ramp") == 0 else None
        if s.own is not None and s.round - s.own.round >= EXPOSED_ROUNDS:
            return retract(s, "exposed_too_long")
        if s.own is None and self._must_open(s):
            return propose(s, s.mandate.start_usdc_micros, "opening_duty")
        return remark(s, "watching") if s.addressed and s.dice(6, "remark") == 0 else None

    @staticmethod
    def _ramp(elapsed_permille: int) -> int:
        late = max(0, elapsed_permille - LATE_PERMILLE)
        return late * PERMILLE // (PERMILLE - LATE_PERMILLE)

    @staticmethod
    def _narrow(s: Situation) -> bool:
        if s.best is None or s.rival is None:
            return False
        spread = abs(s.best.price_usdc_micros - s.rival.price_usdc_micros)
        return spread * PERMILLE <= s.best.price_usdc_micros * NARROW_PERMILLE

    @staticmethod
    def _must_open(s: Situation) -> bool:
        return s.best is None and s.rival is None and s.elapsed_permille >= OPEN_PERMILLE and s.dice(8, "open") == 0
