"""Patient: keeps its price, waits for its target, yields only near the end."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import Situation
from agentrooms.domain.strategies.moves import between, boulware, propose, refuse, remark, takes
from agentrooms.domain.terms import StrategyName

BOULWARE_POWER = 5  # beta 0.2
TARGET_PERMILLE = 350  # it is content with prices that leave it two thirds of its range
THIRD = 3


class Patient:
    """Faratin's Boulware tactic, beta 0.2, towards its target first and its limit last."""

    name = StrategyName.PATIENT
    pace_rounds = 10

    def decide(self, s: Situation) -> Act | None:
        """Takes what meets its target or its curve; otherwise holds, refuses, and late gives way."""
        given = boulware(s.elapsed_permille, BOULWARE_POWER)
        content = between(s, max(given, min(TARGET_PERMILLE, s.elapsed_permille)))
        taken = takes(s, content)
        if taken is not None:
            return taken
        moved = propose(s, between(s, given), "hold_then_yield")
        if s.own is None or given > TARGET_PERMILLE // THIRD:
            return moved
        if s.addressed:
            return refuse(s, "below_target") or remark(s, "holding")
        return moved if s.dice(THIRD, "move") == 0 else None
