"""Conservative: opens low, waits, gives at most what it was given."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.money import to_tick
from agentrooms.domain.strategies.moves import between, boulware, last_price, propose, refuse, retract, step_of, takes
from agentrooms.domain.terms import StrategyName

BOULWARE_POWER = 2
LATE_PERMILLE = 850
HOPELESS_PART = 8  # a rival ahead by more than an eighth of the price makes it step back


class Conservative:
    """Boulware (beta 0.5) bounded by reciprocity: tit for tat on the other side's last concession."""

    name = StrategyName.CONSERVATIVE
    pace_rounds = 8

    def decide(self, s: Situation) -> Act | None:
        """Takes what its curve would offer; moves no further than it was met; steps back when outrun."""
        plan = between(s, boulware(s.elapsed_permille, BOULWARE_POWER))
        taken = takes(s, plan)
        if taken is not None:
            return taken
        if s.own is None:
            return propose(s, plan if s.record.said else s.mandate.start_usdc_micros, "low_open")
        if self._outrun(s):
            return retract(s, "rival_far_ahead")
        if s.elapsed_permille >= LATE_PERMILLE:
            return propose(s, plan, "late_concession")
        if s.addressed:
            return self._answer(s, plan)
        return propose(s, s.towards(last_price(s), -step_of(s) // 2), "slow_step") if s.dice(3, "step") == 0 else None

    @staticmethod
    def _answer(s: Situation, plan: int) -> Act | None:
        """Returns the concession it was given, but not beyond its curve; refuses when it was given nothing."""
        given = to_tick(min(s.record.last_concession_usdc_micros, step_of(s)))
        if given == 0:
            return refuse(s, "nothing_given")
        met = s.towards(last_price(s), -given)
        return propose(s, met if s.as_good(met, plan) else plan, "reciprocate")

    @staticmethod
    def _outrun(s: Situation) -> bool:
        if s.own is None or s.rival is None or s.elapsed_permille > LATE_PERMILLE:
            return False
        behind = abs(s.own.price_usdc_micros - s.rival.price_usdc_micros) * PERMILLE // s.own.price_usdc_micros
        ahead = not s.as_good(s.rival.price_usdc_micros, s.own.price_usdc_micros)
        return ahead and behind > PERMILLE // HOPELESS_PART and s.dice(4, "step_back") == 0
