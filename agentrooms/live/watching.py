"""What the desk knows of live rooms and swarms: folds of the log, of the few types of events it acts on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from agentrooms.actors import messages
from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentResumed, AgentSpawned
from agentrooms.domain.deal import DealCompleted
from agentrooms.domain.ids import derive_id
from agentrooms.domain.room import PersonSpoke, RoomClosed, RoomOpened
from agentrooms.domain.swarm import Swarm, SwarmStatus
from agentrooms.events.record import Recorded

WATCHED = ("agent.left", "agent.paused", "agent.resumed", "agent.spawned", "deal.completed", "room.closed")
REFUSALS_MAX = 3  # of one agent's spawn; then the swarm goes on without it

Verb = Literal["spawn", "pause", "resume", "remove", "close", "speak"]


class Order(msgspec.Struct, frozen=True):
    """A command that the desk gives a room, as plain data. A `spawn` is taken not before `round`."""

    room: str
    verb: Verb
    id: str
    agent: str = ""
    spawned: AgentSpawned | None = None
    round: int = 0
    spoke: PersonSpoke | None = None

    def message(self) -> messages.Message:
        """Returns what the room is told."""
        match self.verb:
            case "spawn":
                assert self.spawned is not None
                return messages.Scheduled(self.round, messages.Spawn(self.spawned, self.id))
            case "pause":
                return messages.Pause(self.agent, self.id)
            case "resume":
                return messages.Resume(self.agent, self.id)
            case "remove":
                return messages.Remove(self.agent, id=self.id)
            case "close":
                return messages.Close(self.id)
            case "speak":
                assert self.spoke is not None
                return messages.Speak(self.spoke, self.id)


class Joining(msgspec.Struct, frozen=True):
    """An agent of a swarm and the round from which it joins."""

    round: int
    spawned: AgentSpawned


@dataclass(slots=True)
class WatchedRoom:
    """A live room: who is present, who is paused by which command. `base` is a round and when it was, in ms."""

    opened: RoomOpened
    base: tuple[int, int]
    speed: int = 1
    closed: bool = False
    present: set[str] = field(default_factory=set)
    paused: dict[str, str] = field(default_factory=dict)

    def apply(self, recorded: Recorded) -> None:
        """Takes one event of the room into account."""
        match recorded.event:
            case AgentSpawned(agent=agent):
                self.present.add(agent)
            case AgentLeft(agent=agent):
                self.present.discard(agent)
                self.paused.pop(agent, None)
            case AgentPaused(agent=agent):
                self.paused[agent] = next((t for t in recorded.tags if t.startswith("command:")), "")[len("command:") :]
            case AgentResumed(agent=agent):
                self.paused.pop(agent, None)
            case RoomClosed():
                self.closed = True

    def at_ms(self, round_: int) -> int:
        """Returns the room time of a round, in milliseconds."""
        return self.opened.started_at_ms + round_ * self.opened.round_ms

    def behind_ms(self, round_: int, now_ms: int) -> int:
        """Returns how far a round is behind the wall: a room that stood still goes on in a time of its own."""
        return max(0, now_ms - self.at_ms(round_))

    def round_of(self, at_ms: int) -> int:
        """Returns the round of a room time."""
        return (at_ms - self.opened.started_at_ms) // self.opened.round_ms

    def passed(self, round_: int, now_ms: int) -> None:
        """Learns that the room is at a round."""
        self.base = (round_, now_ms)

    def round_now(self, now_ms: int) -> int:
        """Returns about where the room is: rounds without events leave no trace, so they are counted by the clock."""
        round_, then_ms = self.base
        return round_ + max(0, now_ms - then_ms) * self.speed // self.opened.round_ms


def own_room(swarm: str) -> str:
    """Returns the id of the room that a swarm without one opens for itself."""
    return derive_id("room", swarm)


@dataclass(slots=True)
class WatchedSwarm:
    """A live swarm, the command that started it, and its agents by id: who joined, who left, whose spawn was refused."""

    state: Swarm
    command: str
    own_room: bool
    agents: dict[str, Joining] = field(default_factory=dict)
    pauses: int = 0
    stopping: bool = False
    deals_completed: int = 0
    joined: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    refusals: dict[str, int] = field(default_factory=dict)

    def apply(self, recorded: Recorded) -> None:
        """Takes one event of the swarm's room into account."""
        event = recorded.event
        if isinstance(event, AgentSpawned) and event.agent in self.agents:
            self.joined.add(event.agent)
        elif isinstance(event, AgentLeft) and event.agent in self.agents:
            self.left.add(event.agent)
        elif isinstance(event, DealCompleted):
            self.deals_completed += any(tag.removeprefix("agent:") in self.agents for tag in recorded.tags)

    def refused(self, order: str) -> None:
        """Counts the refusal of one agent's spawn; other refused orders are simply given again."""
        head, _, agent = order.rpartition(":")
        if head == f"desk:{self.state.id}:join":
            self.refusals[agent] = self.refusals.get(agent, 0) + 1

    def is_over(self, room: WatchedRoom) -> bool:
        """Tells whether all its agents have come and gone, or will never come."""
        return all(agent in self.left or self._never_joins(agent, room) for agent in self.agents)

    def orders(self, room: WatchedRoom) -> Iterator[Order]:
        """Yields what the room should still be told, so that the swarm becomes what it is said to be."""
        swarm, paused = self.state, self.state.status is SwarmStatus.PAUSED
        head, turn, name = f"desk:{swarm.id}", str(self.pauses), room.opened.room
        if swarm.status is SwarmStatus.COMPLETED and self.own_room and not room.present:
            yield Order(name, "close", f"{head}:close")
        if room.closed or swarm.status is SwarmStatus.COMPLETED:
            return
        for agent, joining in self.agents.items():
            if agent in self.left:
                continue
            if agent not in self.joined:  # one told to join may be on its way: a swarm that stops waits for it, too
                if not self._never_joins(agent, room) and (self.stopping or not paused):
                    yield Order(
                        room.opened.room, "spawn", f"{head}:join:{agent}", agent, joining.spawned, joining.round
                    )
            elif self.stopping:
                yield Order(name, "remove", f"{head}:stop:{agent}", agent)
            elif paused and agent not in room.paused:
                yield Order(name, "pause", f"{head}:pause:{turn}:{agent}", agent)
            elif not paused and room.paused.get(agent, "").startswith(f"{head}:pause:"):
                yield Order(name, "resume", f"{head}:resume:{turn}:{agent}", agent)

    def _never_joins(self, agent: str, room: WatchedRoom) -> bool:
        return agent not in self.joined and (room.closed or self.refusals.get(agent, 0) >= REFUSALS_MAX)


def is_alive(swarm: WatchedSwarm) -> bool:
    """Tells whether a swarm is running or paused."""
    return swarm.state.status is not SwarmStatus.COMPLETED
