"""Patient: keeps its price, waits for its target, yields only near the end."""

from __future__ import annotations

from agentrooms.domain.act import Act
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.strategies.curves import boulware, ramp
from agentrooms.domain.strategies.moves import between, conceding, propose, refuse, remark, takes
from agentrooms.domain.terms import StrategyName

BOULWARE_POWER = 5  # beta 0.2
TARGET_PERMILLE = 350  # it is content with prices that leave it about two thirds of its range
END_PERMILLE = 800  # from here it goes on from its target to its limit


class Patient:
    """Faratin's Boulware tactic (beta 0.2) towards its target; a straight ramp from there to its limit."""

    name = StrategyName.PATIENT
    pace_rounds = 10

    def decide(self, s: Situation) -> Act | None:
        """Takes what meets its target or its curve; otherwise holds, refuses, and late gives way."""
        given = self._given(s.elapsed_permille)
        taken = takes(s, between(s, max(given, min(TARGET_PERMILLE, s.elapsed_permille))))
        if taken is not None:
            return taken
        late = s.elapsed_permille >= END_PERMILLE
        moved = propose(s, conceding(s, between(s, given)), "closing_ramp" if late else "hold_then_yield")
        if moved is not None or late:
            return moved
        if s.dice(2, "answer") == 0:
            return refuse(s, "below_target")
        return remark(s, "holding") if s.dice(3, "remark") == 0 else None

    @staticmethod
    def _given(elapsed_permille: int) -> int:
        if elapsed_permille >= END_PERMILLE:
            return TARGET_PERMILLE + (PERMILLE - TARGET_PERMILLE) * ramp(elapsed_permille, END_PERMILLE) // PERMILLE
        return TARGET_PERMILLE * boulware(elapsed_permille * PERMILLE // END_PERMILLE, BOULWARE_POWER) // PERMILLE
