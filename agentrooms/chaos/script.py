"""What people ask of a living system in one seed of chaos. Drawn from the seed; ids are known before anything is sent."""

from __future__ import annotations

from typing import NamedTuple

from agentrooms.chaos.plan import Plan
from agentrooms.domain.ids import draw_below, seed_bytes
from agentrooms.domain.market import SETTLEMENT_MS
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.live.commands import (
    CloseRoom,
    Command,
    OpenRoom,
    PauseAgent,
    PauseSwarm,
    RemoveAgent,
    ResumeAgent,
    ResumeSwarm,
    RunSwarm,
    SetSwarmSpeed,
    SpawnAgent,
)
from agentrooms.live.wallets import made_id

ROUND_MS = 50  # the quickest that a live room can be
EXPIRY_ROUNDS = SETTLEMENT_MS // ROUND_MS + 120  # of single agents' mandates, which trade in the first 120
QUOTE_ROUNDS = 30
WISHES = 8  # commands beside those that every seed has
FAST = 0


class Timed(NamedTuple):
    """A command that is sent when the log has so many events."""

    after_events: int
    command: Command


class Script(NamedTuple):
    """The room that stays open, the swarms, what is sent when, and what is sent at the end."""

    room: str
    swarms: tuple[str, ...]
    first: tuple[Timed, ...]
    last: tuple[Command, ...]
    close: CloseRoom


def write_script(plan: Plan, secret: bytes) -> Script:
    """Returns the commands of a seed: a room with two agents, a swarm in it and one of its own, and what becomes of them."""
    key = seed_bytes(f"chaos/{plan.seed}/people")

    def below(bound: int, purpose: str, k: int = 0) -> int:
        return draw_below(key, bound, purpose, k=k)

    room = made_id(secret, "room", "open-1")
    swarms = tuple(made_id(secret, "swarm", f"swarm-{n}") for n in (1, 2))
    agents = tuple(made_id(secret, "agent", f"spawn-{n}") for n in (1, 2))
    first = [
        Timed(0, OpenRoom(id="open-1", name=f"Chaos {plan.seed}", round_ms=ROUND_MS, quote_rounds=QUOTE_ROUNDS)),
        Timed(0, RunSwarm(id="swarm-1", buyers=plan.buyers, sellers=plan.sellers, seed=plan.seed, speed=FAST)),
        Timed(0, _spawn("spawn-1", room, Role.SELLER, 30, 60)),
        Timed(0, _spawn("spawn-2", room, Role.BUYER, 70, 30)),
        Timed(3, RunSwarm(id="swarm-2", room=room, buyers=1, sellers=2, seed=plan.seed + 1, speed=FAST)),
    ]
    for n in range(WISHES):
        wishes: list[Command] = [
            PauseAgent(id=f"wish-{n}", agent=agents[below(2, "agent", n)]),
            ResumeAgent(id=f"wish-{n}", agent=agents[below(2, "agent", n)]),
            PauseSwarm(id=f"wish-{n}", swarm=swarms[below(2, "swarm", n)]),
            ResumeSwarm(id=f"wish-{n}", swarm=swarms[below(2, "swarm", n)]),
            SetSwarmSpeed(id=f"wish-{n}", swarm=swarms[below(2, "swarm", n)], speed=(FAST, 10)[below(2, "speed", n)]),
            _spawn(f"wish-{n}", room, Role.BUYER, 50 + below(50, "limit", n), 20),
            RemoveAgent(id=f"wish-{n}", agent=agents[below(2, "agent", n)]),
        ]
        first.append(Timed(5 + 4 * n + below(5, "after", n), wishes[below(len(wishes), "wish", n)]))
    return Script(
        room,
        swarms,
        tuple(first),
        (
            *(ResumeSwarm(id=f"resume-{n}", swarm=swarm) for n, swarm in enumerate(swarms, 1)),
            *(SetSwarmSpeed(id=f"speed-{n}", swarm=swarm, speed=FAST) for n, swarm in enumerate(swarms, 1)),
        ),
        CloseRoom(id="close-1", room=room),
    )


def _spawn(id: str, room: str, role: Role, limit_usdc: int, start_usdc: int) -> SpawnAgent:
    return SpawnAgent(
        id=id,
        room=room,
        role=role,
        strategy=StrategyName.COMPETITIVE,
        style=Style.CASUAL,
        limit_usdc_micros=limit_usdc * USDC_MICROS,
        start_usdc_micros=start_usdc * USDC_MICROS,
        expiry_rounds=EXPIRY_ROUNDS,
    )
