"""Aggressive: goes below the floor or above the top bid at once, drops fast, closes first."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.strategies.curves import conceder
from agentrooms.domain.strategies.moves import (
    between,
    conceding,
    propose,
    pushed,
    refuse,
    remark,
    shave,
    step_of,
    takes,
)
from agentrooms.domain.terms import StrategyName

EAGER_PERMILLE = 150  # it takes quotes this much beyond its curve


class Aggressive:
    """Faratin's conceder tactic (beta 3) with immediate undercutting by a whole step."""

    name = StrategyName.AGGRESSIVE
    pace_rounds = 4

    def decide(self, s: Situation) -> Act | None:
        """Takes anything near its curve; undercuts by a whole step; else follows the curve, faster when refused."""
        given = conceder(s.elapsed_permille)
        taken = takes(s, between(s, min(PERMILLE, given + EAGER_PERMILLE)))
        if taken is not None:
            return taken
        step = step_of(s)
        price, rule = conceding(s, between(s, given)), "fast_concession"
        beaten = shave(s, step)
        if beaten is not None and s.as_good(price, beaten):
            price, rule = beaten, "undercut_now"
        elif pushed(s):
            price, rule = s.towards(price, -step // 2), "yield_to_refusal"
        moved = propose(s, price, rule)
        if moved is not None or s.dice(2, "answer") == 0:
            return moved
        return refuse(s, "too_far") or remark(s, "pressing")
