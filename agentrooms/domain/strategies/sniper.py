"""Sniper: watches in silence, takes a good price at once, and shoots near the end."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.strategies.curves import ramp
from agentrooms.domain.strategies.moves import between, conceding, propose, remark, retract, takes
from agentrooms.domain.terms import StrategyName

GOOD_PERMILLE = 300  # a price that costs it at most this share of its range is worth a shot, earlier only a better one
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
        late = ramp(s.elapsed_permille, LATE_PERMILLE)
        good = min(GOOD_PERMILLE, s.elapsed_permille) + (PERMILLE - GOOD_PERMILLE) * late // PERMILLE
        worst = s.mandate.reservation_usdc_micros if self._narrow(s) else between(s, good)
        taken = takes(s, worst)
        if taken is not None:
            return taken
        if s.elapsed_permille >= LATE_PERMILLE:
            return propose(s, conceding(s, between(s, good)), "closing_ramp") if s.dice(2, "ramp") == 0 else None
        if s.own is not None:
            return retract(s, "exposed_too_long") if s.round - s.own.round >= EXPOSED_ROUNDS else None
        if self._must_open(s):
            return propose(s, s.mandate.start_usdc_micros, "opening_duty")
        return remark(s, "watching") if s.dice(6, "remark") == 0 else None

    @staticmethod
    def _narrow(s: Situation) -> bool:
        """Whether the best quotes of both sides are so close that little is left to wait for."""
        if s.best is None or s.rival is None:
            return False
        spread = abs(s.best.price_usdc_micros - s.rival.price_usdc_micros)
        return spread * PERMILLE <= s.best.price_usdc_micros * NARROW_PERMILLE

    @staticmethod
    def _must_open(s: Situation) -> bool:
        """Whether it is its turn to open a room without quotes; each sniper opens once."""
        opened = s.record.last_price_usdc_micros is not None
        if opened or s.best is not None or s.rival is not None or s.elapsed_permille < OPEN_PERMILLE:
            return False
        return s.dice(8, "open") == 0
