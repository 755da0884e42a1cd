"""Agents: one row each, with what the room saw of it. No limit is here: see `mandates`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import msgspec

from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.deal import DealState
from agentrooms.domain.market import Market
from agentrooms.domain.room import ActPosted
from agentrooms.domain.terms import ActKind, AgentStatus, LeaveReason, Role, StrategyName, Style
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import ROUND, USDC_MICROS, Note, Table
from agentrooms.projections.walk import Rooms


class AgentRow(msgspec.Struct, frozen=True):
    """One agent at the end of the log."""

    room: Annotated[str, Note("room id")]
    agent: Annotated[str, Note("agent id")]
    name: Annotated[str, Note("its name")]
    role: Annotated[Role, Note("buyer or seller")]
    strategy: Annotated[StrategyName, Note("strategy it had last")]
    style: Annotated[Style, Note("style it had last")]
    owner: Annotated[str, Note("wallet it trades for")]
    token_id: Annotated[str | None, Note("item it sells", null="a buyer")]
    grade: Annotated[str, Note("class of comparable items it trades in; empty for a buyer of any")]
    wants: Annotated[
        str | None, Note("what it buys: `any`, `items 12 34`, or traits as `grade=common`", null="a seller")
    ]
    status: Annotated[AgentStatus, Note("where it stands in its life")]
    joined_event: Annotated[int, Note("place in the log of its joining, from 1", "events")]
    joined_round: Annotated[int, Note("round in which it joined", ROUND)]
    left_round: Annotated[int | None, Note("round in which it left", ROUND, "it is still there")]
    left_reason: Annotated[LeaveReason | None, Note("why it left", null="it is still there")]
    messages: Annotated[int, Note("acts it posted", "messages")]
    quotes: Annotated[int, Note("quotes it made, by offer or counter", "quotes")]
    accepts: Annotated[int, Note("quotes of others that it accepted", "messages")]
    refusals: Annotated[int, Note("rejections spoken to it", "messages")]
    overtaken: Annotated[int, Note("times another took the lead of its side and grade from it", "times")]
    first_price_usdc_micros: Annotated[int | None, Note("first price it quoted", USDC_MICROS, "it quoted none")]
    last_price_usdc_micros: Annotated[int | None, Note("last price it quoted", USDC_MICROS, "it quoted none")]
    failed_deals: Annotated[int, Note("deals of its that failed", "deals")]
    deal: Annotated[str | None, Note("deal that it completed", null="none")]
    deal_price_usdc_micros: Annotated[int | None, Note("price of that deal", USDC_MICROS, "no completed deal")]
    counterpart: Annotated[str | None, Note("id of the other agent of that deal", null="no completed deal")]


def rows(events: Iterable[Recorded]) -> list[AgentRow]:
    """Returns one row for each agent, in the order in which they joined."""
    rooms = Rooms()
    joined: dict[tuple[str, str], int] = {}
    acts: Counter[tuple[str, ActKind]] = Counter()
    for number, recorded in enumerate(events, start=1):
        rooms.apply(number, recorded)
        if recorded.type == "agent.spawned":
            agent: str = getattr(recorded.event, "agent", "")
            joined[recorded.chain, agent] = number
        elif isinstance(recorded.event, ActPosted):
            acts[recorded.event.agent, recorded.event.act] += 1
    markets = {chain: Market(rooms.get(chain)) for chain, _agent in joined}
    return [agent_row(markets[chain], chain, agent, number, acts) for (chain, agent), number in joined.items()]


def wants_text(wants: Wants) -> str:
    """Returns what a buyer wants, in short."""
    if wants.kind is WantKind.ITEMS:
        return " ".join(("items", *wants.token_ids))
    if wants.kind is WantKind.TRAITS:
        return " ".join(f"{name}={value}" for name, value in sorted(wants.traits.items()))
    return "any"


def agent_row(market: Market, chain: str, name: str, number: int, acts: Counter[tuple[str, ActKind]]) -> AgentRow:
    """Returns an agent's row; it joined with event `number` of the log, `acts` counts what it posted by kind."""
    room = market.room
    agent, record = room.agents[name], room.records[name]
    deal = room.deals[agent.deal] if agent.deal is not None else None
    terms = deal.terms if deal is not None and deal.state is DealState.COMPLETED else None
    return AgentRow(
        room=chain,
        agent=agent.id,
        name=agent.name,
        role=agent.role,
        strategy=agent.strategy,
        style=agent.style,
        owner=agent.owner,
        token_id=agent.item.token_id if agent.item is not None else None,
        grade=market.grade_of(agent),
        wants=wants_text(agent.wants) if agent.wants is not None else None,
        status=agent.status,
        joined_event=number,
        joined_round=agent.joined_round,
        left_round=agent.left_round,
        left_reason=agent.left_reason,
        messages=record.said,
        quotes=acts[name, ActKind.OFFER] + acts[name, ActKind.COUNTER],
        accepts=acts[name, ActKind.ACCEPT],
        refusals=record.refusals,
        overtaken=record.overtaken,
        first_price_usdc_micros=record.first_price_usdc_micros,
        last_price_usdc_micros=record.last_price_usdc_micros,
        failed_deals=record.lost_deals,
        deal=terms.deal if terms is not None else None,
        deal_price_usdc_micros=terms.price_usdc_micros if terms is not None else None,
        counterpart=None if terms is None else (terms.seller if terms.buyer == agent.id else terms.buyer),
    )


TABLE = Table("agents", "Every agent with what the room saw of it.", AgentRow, rows)
