"""What a strategy is."""

from __future__ import annotations

from typing import Protocol

from agentrooms.domain.act import Act
from agentrooms.domain.market import Situation
from agentrooms.domain.terms import StrategyName


class Strategy(Protocol):
    """Decides one agent's act from what the agent may know. No state, clock or randomness of its own."""

    @property
    def name(self) -> StrategyName:
        """The word users choose it by."""

    @property
    def pace_rounds(self) -> int:
        """How many rounds it lets pass between two messages when nobody speaks to it."""

    def decide(self, s: Situation) -> Act | None:
        """Returns the act, None for silence. Its price must lie within the mandate."""
