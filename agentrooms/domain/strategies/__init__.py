"""The five strategies: pure functions from a situation to an act, one short file each.

To add one, see `docs/how-to/add-a-strategy.md`.
"""

from __future__ import annotations

from agentrooms.domain.strategies.aggressive import Aggressive
from agentrooms.domain.strategies.competitive import Competitive
from agentrooms.domain.strategies.conservative import Conservative
from agentrooms.domain.strategies.patient import Patient
from agentrooms.domain.strategies.protocol import Strategy
from agentrooms.domain.strategies.sniper import Sniper
from agentrooms.domain.terms import StrategyName

STRATEGIES: dict[StrategyName, Strategy] = {
    strategy.name: strategy for strategy in (Competitive(), Patient(), Aggressive(), Conservative(), Sniper())
}

__all__ = ["STRATEGIES", "Strategy"]
