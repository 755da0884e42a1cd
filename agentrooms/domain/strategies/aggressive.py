"""Aggressive: goes below the floor or above the top bid at once, drops fast, closes first."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import Situation
from agentrooms.domain.strategies.moves import between, conceder, propose, refuse, remark, shave, step_of, takes
from agentrooms.domain.terms import StrategyName

EAGER_PERMILLE = 150  # it takes quotes this much beyond its curve


class Aggressive:
    """Faratin's conceder tactic (beta 3) with immediate undercutting."""

    name = StrategyName.AGGRESSIVE
    pace_rounds = 4

    def decide(self, s: Situation) -> Act | None:
        """Takes anything near its curve; undercuts by a whole step; else follows the curve."""
        given = conceder(s.elapsed_permille)
        taken = takes(s, between(s, min(1000, given + EAGER_PERMILLE)))
        if taken is not None:
            return taken
        plan = between(s, given)
        beaten = shave(s, step_of(s))
        if beaten is not None and s.within(beaten):
            return propose(s, beaten if s.as_good(plan, beaten) else plan, "undercut_now")
        moved = propose(s, plan, "fast_concession")
        if moved is None and s.addressed:
            return refuse(s, "too_far") or remark(s, "pressing")
        return moved
