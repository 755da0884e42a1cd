"""The wall's clock jumps hours back and forth while a living system works."""

from __future__ import annotations

import random

import pytest

from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.swarm import SwarmCompleted
from agentrooms.live.commands import CloseRoom, OpenRoom, RunSwarm
from agentrooms.live.inbox import Inbox
from tests.chaos.logs import assert_sound
from tests.live.world import World

JUMPS_MS = (-86_400_000, -3_600_000, -60_000, 60_000, 3_600_000, 86_400_000)
JUMP_EVERY = 40  # steps of the desk


class Jumping(World):
    """Its clock jumps."""

    jumped_ms = 0

    def clock_ms(self) -> int:
        """The wall clock, as somebody sets it."""
        return super().clock_ms() + self.jumped_ms


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_system_whose_clock_jumps_does_all_it_is_asked(inbox: Inbox, seed: int) -> None:
    """Orders are given again, agents join once, the swarm ends, rooms close, no lock is left."""
    draw, world = random.Random(seed), Jumping(inbox)
    own = world.ask(RunSwarm(id="own", buyers=2, sellers=2, seed=seed))
    opened = world.ask(OpenRoom(id="room", name="Clock"))
    shared = world.ask(RunSwarm(id="shared", room=opened.room, buyers=2, sellers=2, seed=seed + 1))
    steps = 0

    def over() -> bool:
        nonlocal steps
        steps += 1
        if steps % JUMP_EVERY == 0:
            world.jumped_ms += draw.choice(JUMPS_MS)
        return world.count(SwarmCompleted) == 2

    world.until(over)
    world.jumped_ms += draw.choice(JUMPS_MS)
    world.ask(CloseRoom(id="close", room=opened.room))
    assert world.count(AgentSpawned, own.room) == own.agents
    assert world.count(AgentSpawned, opened.room) == shared.agents
    assert_sound(world.store)
