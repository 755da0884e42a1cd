"""An agent's life in its room, from spawn to leaving. What it says is the room's; see `record.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.canonical import is_normal
from agentrooms.domain.event import Event
from agentrooms.domain.terms import AgentStatus, LeaveReason, Role, StrategyName, Style
from agentrooms.errors import Rejection

NAME_CHARACTERS_MAX = 50
AVATAR_CHARACTERS_MAX = 10


class AgentSpawned(Event, frozen=True, kw_only=True):
    """An agent joined the room. Its limits are not here: only the hash of its mandate is."""

    agent: str
    avatar: str
    item: Item | None
    mandate_hash: str
    name: str
    owner: str
    role: Role
    round: int
    strategy: StrategyName
    style: Style
    swarm: str | None
    wants: Wants | None


class AgentPaused(Event, frozen=True):
    """The owner silenced the agent; its quote was retracted."""

    agent: str
    round: int


class AgentResumed(Event, frozen=True):
    """The owner let the agent speak again."""

    agent: str
    round: int


class AgentReconfigured(Event, frozen=True, kw_only=True):
    """The owner changed the agent's strategy, style or mandate from this round on."""

    agent: str
    mandate_hash: str
    round: int
    strategy: StrategyName
    style: Style


class AgentLeft(Event, frozen=True):
    """The agent left the room for good."""

    agent: str
    reason: LeaveReason
    round: int


AgentEvent = AgentSpawned | AgentPaused | AgentResumed | AgentReconfigured | AgentLeft


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as everybody in the room may see it; `item` is a seller's, `wants` a buyer's."""

    id: str
    name: str
    avatar: str
    owner: str
    role: Role
    style: Style
    strategy: StrategyName
    mandate_hash: str
    item: Item | None
    wants: Wants | None
    swarm: str | None
    joined_round: int
    status: AgentStatus = AgentStatus.SPAWNED
    before_pause: AgentStatus = AgentStatus.SPAWNED
    deal: str | None = None
    left_round: int | None = None
    left_reason: LeaveReason | None = None

    @property
    def present(self) -> bool:
        """Whether the agent is still in its room."""
        return self.left_round is None

    @property
    def may_act(self) -> bool:
        """Whether the agent may say something other than that it leaves."""
        return self.status in _TALKING


_TALKING = frozenset({AgentStatus.SPAWNED, AgentStatus.ACTIVE, AgentStatus.NEGOTIATING})


def born(event: AgentSpawned) -> Agent:
    """Returns the agent a spawn brings into being."""
    return Agent(
        event.agent,
        event.name,
        event.avatar,
        event.owner,
        event.role,
        event.style,
        event.strategy,
        event.mandate_hash,
        event.item,
        event.wants,
        event.swarm,
        event.round,
    )


def evolve(agent: Agent, event: AgentEvent) -> Agent:
    """Returns the agent after one event of its own life; a spawn is `born`."""
    match event:
        case AgentSpawned():
            return born(event)
        case AgentPaused():
            return replace(agent, status=AgentStatus.PAUSED, before_pause=agent.status)
        case AgentResumed():
            return replace(agent, status=agent.before_pause)
        case AgentReconfigured():
            return replace(agent, strategy=event.strategy, style=event.style, mandate_hash=event.mandate_hash)
        case AgentLeft():
            status = agent.status if agent.status is AgentStatus.COMPLETED else AgentStatus.LEFT
            return replace(agent, status=status, left_round=event.round, left_reason=event.reason)


def spoke(agent: Agent, *, priced: bool) -> Agent:
    """Returns the agent after it said something: active from its first word, negotiating from its first price."""
    if agent.status is AgentStatus.SPAWNED:
        return replace(agent, status=AgentStatus.NEGOTIATING if priced else AgentStatus.ACTIVE)
    if priced and agent.status is AgentStatus.ACTIVE:
        return replace(agent, status=AgentStatus.NEGOTIATING)
    return agent


def locked(agent: Agent, deal: str) -> Agent:
    """Returns the agent bound by a live deal."""
    return replace(agent, status=AgentStatus.DEAL_LOCKED, deal=deal)


def released(agent: Agent, *, completed: bool) -> Agent:
    """Returns the agent after its deal's end: completed, or negotiating again."""
    if completed:
        return replace(agent, status=AgentStatus.COMPLETED)
    return replace(agent, status=AgentStatus.NEGOTIATING, deal=None)


def check_spawn(event: AgentSpawned) -> None:
    """Raises Rejection for a spawn whose role, item, wants or names do not fit, or with a text that is not normal."""
    if not 0 < len(event.name) <= NAME_CHARACTERS_MAX:
        raise Rejection(f"an agent's name has 1 to {NAME_CHARACTERS_MAX} characters, was {event.name!r}")
    if len(event.avatar) > AVATAR_CHARACTERS_MAX:
        raise Rejection(f"an avatar has at most {AVATAR_CHARACTERS_MAX} characters, was {event.avatar!r}")
    if (event.role is Role.SELLER) != (event.item is not None):
        raise Rejection("a seller sells one item and a buyer none", hint="name the item, or the wants, by role")
    if (event.role is Role.BUYER) != (event.wants is not None):
        raise Rejection("a buyer says what it wants and a seller does not", hint="name the item, or the wants, by role")
    if event.wants is not None and event.wants.empty:
        raise Rejection(f"a buyer that wants {event.wants.kind} names them", hint='or wants "any"')
    of_item = event.item.texts if event.item is not None else ()
    of_wants = event.wants.texts if event.wants is not None else ()
    names = (event.agent, event.name, event.avatar, event.owner, event.mandate_hash, event.swarm or "")
    for text in (*names, *of_item, *of_wants):
        if not is_normal(text):
            raise Rejection(
                f"{text!a} has invisible or control characters, outer blanks, or is not in Unicode normal form C",
                hint="normalise texts where they enter",
            )


def pause(agent: Agent, round_: int) -> list[AgentEvent]:
    """Pauses an agent. Raises Rejection when it has left or has a live deal."""
    if agent.status is AgentStatus.PAUSED:
        return []
    _require_free(agent, "paused")
    return [AgentPaused(agent.id, round_)]


def resume(agent: Agent, round_: int) -> list[AgentEvent]:
    """Resumes a paused agent; one that is not paused already speaks."""
    if not agent.present:
        raise Rejection(f"agent {agent.id} has left ({agent.left_reason})")
    return [AgentResumed(agent.id, round_)] if agent.status is AgentStatus.PAUSED else []


def reconfigure(
    agent: Agent,
    round_: int,
    *,
    strategy: StrategyName | None = None,
    style: Style | None = None,
    mandate_hash: str | None = None,
) -> list[AgentEvent]:
    """Changes how an agent trades. Raises Rejection when it has left or has a live deal."""
    _require_free(agent, "changed")
    event = AgentReconfigured(
        agent=agent.id,
        mandate_hash=mandate_hash or agent.mandate_hash,
        round=round_,
        strategy=strategy or agent.strategy,
        style=style or agent.style,
    )
    return [] if evolve(agent, event) == agent else [event]


def leave(agent: Agent, reason: LeaveReason, round_: int) -> list[AgentEvent]:
    """Takes an agent out of its room, once. Raises Rejection while its deal is live."""
    if not agent.present:
        return []
    if agent.status is AgentStatus.DEAL_LOCKED:
        raise Rejection(f"agent {agent.id} has the live deal {agent.deal}", hint="wait until it has ended")
    return [AgentLeft(agent.id, reason, round_)]


def _require_free(agent: Agent, what: str) -> None:
    if not agent.present or agent.status is AgentStatus.COMPLETED:
        raise Rejection(f"agent {agent.id} is done ({agent.left_reason or agent.status}) and cannot be {what}")
    if agent.status is AgentStatus.DEAL_LOCKED:
        raise Rejection(f"agent {agent.id} has the live deal {agent.deal}", hint="wait until it has ended")
