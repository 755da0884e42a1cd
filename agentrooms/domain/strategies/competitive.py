"""Competitive: watches floor and top bid, beats rivals by little, asks for more while demand is high."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import Situation
from agentrooms.domain.money import TICK_USDC_MICROS
from agentrooms.domain.strategies.moves import between, last_price, propose, refuse, remark, shave, step_of, takes
from agentrooms.domain.terms import StrategyName

LATE_PERMILLE = 800
SHAVE_PART = 4  # beats a rival by a quarter of a step


class Competitive:
    """Margin learning in the manner of ZIP (Cliff 1997): the margin shrinks to rivals, grows with demand."""

    name = StrategyName.COMPETITIVE
    pace_rounds = 6

    def decide(self, s: Situation) -> Act | None:
        """Takes what beats its next price; undercuts or outbids; yields linearly, faster when late."""
        step = step_of(s)
        plan = between(s, s.elapsed_permille if s.elapsed_permille < LATE_PERMILLE else 1000)
        beaten = shave(s, max(TICK_USDC_MICROS, step // SHAVE_PART))
        target = plan if beaten is None else (beaten if s.as_good(plan, beaten) else plan)
        taken = takes(s, target)
        if taken is not None:
            return taken
        if beaten is not None and s.within(beaten):
            return propose(s, target, "beat_rival")
        if beaten is not None and s.own is not None:
            return refuse(s, "rival_below_limit") or remark(s, "rival_below_limit")
        if s.own is not None and self._in_demand(s):
            return propose(s, s.towards(last_price(s), step // 2), "demand_is_high")
        return propose(s, target, "linear_concession")

    @staticmethod
    def _in_demand(s: Situation) -> bool:
        """Whether the other side is at least twice as crowded and there is time to ask for more."""
        ours = len(s.market.asks if s.selling else s.market.bids)
        theirs = len(s.market.bids if s.selling else s.market.asks)
        return theirs >= 2 * max(1, ours) and s.elapsed_permille < LATE_PERMILLE // 2 and s.dice(3, "demand") == 0
