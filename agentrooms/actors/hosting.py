"""Where agents are hosted. Room and hosts derive it from the log alone, so neither asks the other."""

from __future__ import annotations

import msgspec

from agentrooms.domain.agent import Agent
from agentrooms.domain.ids import draw_below
from agentrooms.domain.room import Room

_SPREAD = b"agentrooms-hosts"  # the key that spreads agents over hosts, the same everywhere


class Hosting(msgspec.Struct, frozen=True):
    """A room's hosts. A swarm's agents share `packed` of them; with 0, and outside of swarms, each has its own."""

    room: str
    packed: int

    def host_of(self, agent: Agent) -> str:
        """Returns the address of an agent's host."""
        if self.packed == 0 or agent.swarm is None:
            return f"agent:{agent.id}"
        return f"host:{self.room}:{draw_below(_SPREAD, self.packed, 'host', agent.id)}"

    def hosts_of(self, room: Room) -> tuple[str, ...]:
        """Returns the addresses of all hosts that have an agent in the room, sorted."""
        return tuple(sorted({self.host_of(agent) for agent in room.agents.values() if agent.present}))
