"""Commands as tests give them; prices in USDC."""

from __future__ import annotations

from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.live.commands import SpawnAgent


def spawn(id_: str, room: str, role: Role, limit: int, start: int, **more: object) -> SpawnAgent:
    """An agent that trades from a limit and a start."""
    return SpawnAgent(
        id=id_,
        room=room,
        role=role,
        strategy=StrategyName.COMPETITIVE,
        style=Style.CASUAL,
        limit_usdc_micros=limit * USDC_MICROS,
        start_usdc_micros=start * USDC_MICROS,
        **more,  # type: ignore[arg-type]
    )


def seller(id_: str, room: str, limit: int = 40, start: int = 60, **more: object) -> SpawnAgent:
    """A seller."""
    return spawn(id_, room, Role.SELLER, limit, start, **more)


def buyer(id_: str, room: str, limit: int = 55, start: int = 30, **more: object) -> SpawnAgent:
    """A buyer."""
    return spawn(id_, room, Role.BUYER, limit, start, **more)
