"""Conservative: opens low, waits, gives at most what it was given, steps back when outrun."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.money import to_tick
from agentrooms.domain.strategies.curves import boulware
from agentrooms.domain.strategies.moves import (
    between,
    conceding,
    heard,
    last_price,
    propose,
    refuse,
    retract,
    step_of,
    takes,
)
from agentrooms.domain.terms import StrategyName

BOULWARE_POWER = 2  # beta 0.5
LATE_PERMILLE = 800
OUTRUN_PERMILLE = 125  # a rival ahead by more than an eighth of the price makes it step back
WORTH_PART = 3  # a concession below a third of its own step deserves no answer


class Conservative:
    """Boulware (beta 0.5) bounded by reciprocity: tit for tat on the other side's last concession."""

    name = StrategyName.CONSERVATIVE
    pace_rounds = 8

    def decide(self, s: Situation) -> Act | None:
        """Takes what its curve would offer; moves no further than it was met; stays out while it is outrun."""
        plan = conceding(s, between(s, boulware(s.elapsed_permille, BOULWARE_POWER)))
        taken = takes(s, plan)
        if taken is not None:
            return taken
        if s.elapsed_permille >= LATE_PERMILLE:
            return propose(s, plan, "late_concession")
        if s.record.last_price_usdc_micros is None:
            return propose(s, s.mandate.start_usdc_micros, "cautious_open")
        if self._outrun(s, plan):
            return retract(s, "outrun") if s.dice(2, "step_back") == 0 else None
        if s.own is None:
            return propose(s, plan, "reopen")
        return self._answer(s, plan)

    @staticmethod
    def _answer(s: Situation, plan: int) -> Act | None:
        """Gives back what it was given, no further than its curve; else refuses or takes a slow step now and then."""
        step = step_of(s)
        given = to_tick(min(step, s.record.last_concession_usdc_micros)) if heard(s) is not None else 0
        rule = "reciprocate"
        if given * WORTH_PART < step:
            if s.dice(3, "step") > 0:
                return refuse(s, "too_little_given") if s.dice(3, "refuse") == 0 else None
            given, rule = step // 2, "slow_step"
        price = s.towards(last_price(s), -given)
        return propose(s, price if s.as_good(price, plan) else plan, rule)

    @staticmethod
    def _outrun(s: Situation, price: int) -> bool:
        """Whether a rival is so far ahead of what this agent would quote that quoting only shows its hand."""
        if s.rival is None or s.as_good(s.rival.price_usdc_micros, price):
            return False
        return abs(price - s.rival.price_usdc_micros) * PERMILLE > price * OUTRUN_PERMILLE
