"""A room at one moment: what a client begins with, and what GET /rooms/{id}/state returns."""

from __future__ import annotations

from typing import TypedDict

from pydantic import Field

from agentrooms.api.frames import brief, log_id, nft
from agentrooms.api.models.base import Micros, Time, Usdc, Wire, iso, micros, usdc
from agentrooms.api.models.deals import DealStatus, status_of
from agentrooms.api.models.frames import AgentBrief, NftBrief, Percent
from agentrooms.domain import progress
from agentrooms.domain.agent import Agent
from agentrooms.domain.deal import Deal
from agentrooms.domain.market import Market
from agentrooms.domain.progress import Stage
from agentrooms.domain.room import Quote, Room, RoomStatus
from agentrooms.domain.terms import AgentStatus, Role, StrategyName, Style

DEALS_ENDED_SHOWN = 20  # the latest; all live ones are shown


class Figures(Wire):
    """A room's figures."""

    floor_price: Usdc | None
    floor_price_micros: Micros | None
    top_bid: Usdc | None
    top_bid_micros: Micros | None
    active_agents: int
    active_buyers: int
    active_sellers: int


class AgentState(AgentBrief):
    """An agent that is in the room."""

    status: AgentStatus
    strategy: StrategyName
    communication_style: Style
    swarm_id: str | None
    nft: NftBrief | None
    messages_sent: int
    quote_id: str | None
    deal_id: str | None


class QuoteState(Wire):
    """A standing ask (of a seller) or bid (of a buyer)."""

    id: str
    agent_id: str
    side: Role
    price: Usdc
    price_micros: Micros
    token_id: str | None
    to: str | None
    round: int


class DealBrief(Wire):
    """A deal as far as the log tells."""

    id: str
    status: DealStatus
    stage: Stage
    percent: Percent
    buyer_agent: AgentBrief
    seller_agent: AgentBrief
    nft: NftBrief
    price: Usdc
    price_micros: Micros
    tx_hash: str | None


class RoomState(Figures):
    """A room after its event `seq`. Only agents that are present are in it, and of ended deals the latest."""

    room_id: str
    log_id: str
    seq: int = Field(ge=1, examples=[420])
    name: str
    collection: str
    comparable_by: str
    status: RoomStatus
    round: int
    round_ms: int
    started_at: Time
    agents: tuple[AgentState, ...]
    asks: tuple[QuoteState, ...]
    bids: tuple[QuoteState, ...]
    deals: tuple[DealBrief, ...]


def figures(room: Room) -> Figures:
    """Returns the figures of a room."""
    return Figures(**_figures(room))


def room_state(room: Room, seq: int) -> RoomState:
    """Returns a room as it is after its event `seq`."""
    market = Market(room)
    deals = list(room.deals.values())
    ended = [deal for deal in deals if not deal.live][-DEALS_ENDED_SHOWN:]
    return RoomState(
        **_figures(room),
        room_id=room.id,
        log_id=log_id(room.id, room.started_at_ms, room.name),
        seq=seq,
        name=room.name,
        collection=room.collection,
        comparable_by=room.comparable_by,
        status=room.status,
        round=room.round,
        round_ms=room.round_ms,
        started_at=iso(room.started_at_ms),
        agents=tuple(_agent(room, agent) for agent in room.agents.values() if agent.present),
        asks=tuple(map(_quote, market.asks)),
        bids=tuple(map(_quote, market.bids)),
        deals=tuple(_deal(room, deal) for deal in (*ended, *(deal for deal in deals if deal.live))),
    )


class _Figures(TypedDict):
    floor_price: float | None
    floor_price_micros: str | None
    top_bid: float | None
    top_bid_micros: str | None
    active_agents: int
    active_buyers: int
    active_sellers: int


def _figures(room: Room) -> _Figures:
    floor, top_bid = room.floor, room.top_bid
    present = [agent.role for agent in room.agents.values() if agent.present]
    buyers = sum(role is Role.BUYER for role in present)
    return {
        "floor_price": usdc(floor),
        "floor_price_micros": micros(floor),
        "top_bid": usdc(top_bid),
        "top_bid_micros": micros(top_bid),
        "active_agents": len(present),
        "active_buyers": buyers,
        "active_sellers": len(present) - buyers,
    }


def _agent(room: Room, agent: Agent) -> AgentState:
    return AgentState(
        id=agent.id,
        name=agent.name,
        avatar=agent.avatar,
        role=agent.role,
        status=agent.status,
        strategy=agent.strategy,
        communication_style=agent.style,
        swarm_id=agent.swarm,
        nft=nft(room.collection, agent.item) if agent.item is not None else None,
        messages_sent=room.records[agent.id].said,
        quote_id=room.quote_of.get(agent.id),
        deal_id=agent.deal,
    )


def _quote(quote: Quote) -> QuoteState:
    return QuoteState(
        id=quote.id,
        agent_id=quote.agent,
        side=quote.side,
        price=usdc(quote.price_usdc_micros),
        price_micros=micros(quote.price_usdc_micros),
        token_id=quote.token_id,
        to=quote.to,
        round=quote.round,
    )


def _deal(room: Room, deal: Deal) -> DealBrief:
    terms, (stage, percent) = deal.terms, progress.of_deal(deal)
    return DealBrief(
        id=terms.deal,
        status=status_of(deal.state),
        stage=stage,
        percent=percent,
        buyer_agent=brief(room, terms.buyer),
        seller_agent=brief(room, terms.seller),
        nft=nft(terms.collection, terms.item),
        price=usdc(terms.price_usdc_micros),
        price_micros=micros(terms.price_usdc_micros),
        tx_hash=deal.tx_hash,
    )
