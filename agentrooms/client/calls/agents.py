"""Agents and their mandates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from agentrooms.api.models.agents import AgentAnswer, AgentsPage, DraftAnswer, ReasonsPage, Removed
from agentrooms.api.models.history import AgentHistoryPage
from agentrooms.client.call import Call, Usdc, at, get, write


@dataclass(frozen=True, kw_only=True)
class Trader:
    """What an agent is to be. A seller needs `nft_id` and `min_price`, a buyer `max_price`: their limits."""

    room_id: str
    role: Literal["buyer", "seller"]
    communication_style: str
    strategy: str
    starting_price: Usdc
    min_price: Usdc | None = None
    max_price: Usdc | None = None
    nft_id: str | None = None
    name: str | None = None
    avatar: str | None = None
    wants: dict[str, Any] | None = None
    """What a buyer takes, as the API's `WantsAsked`; without it any item."""


def draft_mandate(trader: Trader, *, expires_in_seconds: int | None = None) -> Call[DraftAnswer]:
    """Drafts an agent: its mandate comes back as typed data for the wallet to sign."""
    return write("POST", "/agents/mandate", DraftAnswer, expires_in_seconds=expires_in_seconds, **asdict(trader))


def spawn_agent(trader: Trader, mandate_id: str, signature: str) -> Call[AgentAnswer]:
    """Lets a drafted agent trade, with its mandate's signature."""
    return write("POST", "/agents/spawn", AgentAnswer, mandate_id=mandate_id, signature=signature, **asdict(trader))


def list_agents(
    *,
    room_id: str | None = None,
    swarm_id: str | None = None,
    present: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[AgentsPage]:
    """Lists agents by id."""
    return get("/agents", AgentsPage, room_id=room_id, swarm_id=swarm_id, present=present, cursor=cursor, limit=limit)


def list_my_agents(
    *, room_id: str | None = None, present: bool | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[AgentsPage]:
    """Lists one's own agents."""
    return get("/agents/my", AgentsPage, room_id=room_id, present=present, cursor=cursor, limit=limit)


def get_agent(agent: str) -> Call[AgentAnswer]:
    """Gets an agent; its owner sees its limits."""
    return get(at("agents", agent), AgentAnswer)


def get_agent_history(agent: str, *, after: str | None = None, limit: int | None = None) -> Call[AgentHistoryPage]:
    """Gets how a person's agent did, every five minutes at most, after a time such as a point's `at`."""
    return get(at("agents", agent, "history"), AgentHistoryPage, after=after, limit=limit)


def steer_agent(agent: str, action: Literal["pause", "resume"]) -> Call[AgentAnswer]:
    """Pauses or resumes one's agent."""
    return write("PATCH", at("agents", agent), AgentAnswer, action=action)


def remove_agent(agent: str) -> Call[Removed]:
    """Takes one's agent out of its room."""
    return write("DELETE", at("agents", agent), Removed)


def list_reasons(agent: str, *, cursor: str | None = None, limit: int | None = None) -> Call[ReasonsPage]:
    """Lists why one's agent acted as it did."""
    return get(at("agents", agent, "reasons"), ReasonsPage, cursor=cursor, limit=limit)
