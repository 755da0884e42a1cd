"""Competitive: watches floor and top bid, beats rivals by little, asks for more while demand is high."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.strategies.moves import (
    between,
    conceding,
    last_price,
    propose,
    pushed,
    refuse,
    shave,
    step_of,
    takes,
)
from agentrooms.domain.terms import StrategyName

SHAVE_PART = 4  # beats a rival by a quarter of a step
YIELDED_PERMILLE = 900  # its margin is gone by then
DEMAND_PERMILLE = 400  # demand makes it greedy until then
CROWD = 2  # demand is high when the other side's quotes outnumber its own side's by this factor
GREED_STEPS = 2  # and takes it at most this many steps beyond its start


class Competitive:
    """Margin adjustment in the manner of ZIP (Cliff 1997): the margin shrinks with rivals and time, grows with demand."""

    name = StrategyName.COMPETITIVE
    pace_rounds = 6

    def decide(self, s: Situation) -> Act | None:
        """Raises while demand is high; takes what beats its next price; else undercuts, outbids or yields in line."""
        step = step_of(s)
        if self._in_demand(s):
            return self._hold_out(s, step)
        given = min(PERMILLE, s.elapsed_permille * PERMILLE // YIELDED_PERMILLE)
        price, rule = conceding(s, between(s, given)), "linear_concession"
        beaten = shave(s, step // SHAVE_PART)
        if beaten is not None and s.as_good(price, beaten):
            price, rule = beaten, "beat_rival"
        elif pushed(s):
            price, rule = s.towards(price, -step // SHAVE_PART), "yield_to_refusal"
        return takes(s, price) or propose(s, price, rule) or refuse(s, "not_competitive")

    @staticmethod
    def _hold_out(s: Situation, step: int) -> Act | None:
        """Keeps its price or asks for a little more; a bid or ask as good as that is taken."""
        last = last_price(s)
        taken = takes(s, last)
        if taken is not None or s.own is None:
            return taken or propose(s, last, "open_in_demand")
        raised = s.towards(last, step // CROWD)
        greediest = s.towards(s.mandate.start_usdc_micros, GREED_STEPS * step)
        if s.as_good(greediest, raised) and s.within(raised) and s.dice(3, "demand") == 0:
            return propose(s, raised, "demand_is_high")
        return refuse(s, "demand_is_high") if s.dice(3, "refuse") == 0 else None

    @staticmethod
    def _in_demand(s: Situation) -> bool:
        """Whether quotes of the other side crowd the room, no rival is ahead and there is time to ask for more."""
        if s.elapsed_permille >= DEMAND_PERMILLE or s.best is None:
            return False
        ours, theirs = s.market.crowds(s.me)
        return theirs >= CROWD * max(1, ours) and theirs > CROWD and shave(s, 0) is None
