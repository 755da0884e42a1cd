"""A room at one moment, as a document and as tables: header, floor, quotes, agents, deals, last words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from agentrooms.cli.console import clean, count, out, table, usdc
from agentrooms.cli.lines import ROLE_STYLES, Line, item_name, rich_line, words
from agentrooms.cli.report import deal_document, present, print_deals
from agentrooms.domain.market import Market
from agentrooms.domain.room import Room
from agentrooms.domain.terms import Role

if TYPE_CHECKING:
    from agentrooms.domain.agent import Agent

MS = 1000


class Moment(msgspec.Struct, frozen=True):
    """A room after so many of its archive's events; `type` is the last one's, `lines` are what was last said."""

    room: Room
    event: int
    events: int
    type: str
    at_ms: int
    lines: tuple[Line, ...]


def spread(room: Room) -> int | None:
    """Returns how far floor and top bid are apart, None while one is missing."""
    floor, top = room.floor, room.top_bid
    return floor - top if floor is not None and top is not None else None


def clock(room: Room, at_ms: int) -> str:
    """Returns room time since the room opened as minutes and seconds."""
    seconds = max(0, at_ms - room.started_at_ms) // MS
    return f"{seconds // 60}:{seconds % 60:02d}"


def room_document(moment: Moment) -> dict[str, Any]:
    """Returns the room as a document with stable keys."""
    room = moment.room
    market = Market(room)
    return {
        "event": moment.event,
        "events": moment.events,
        "event_type": moment.type or None,
        "room": room.id,
        "name": room.name,
        "status": room.status,
        "round": room.round,
        "at_ms": moment.at_ms,
        "floor_usdc_micros": room.floor,
        "top_bid_usdc_micros": room.top_bid,
        "spread_usdc_micros": spread(room),
        "asks": [msgspec.to_builtins(quote) for quote in market.asks],
        "bids": [msgspec.to_builtins(quote) for quote in market.bids],
        "agents": [_agent_document(room, agent) for agent in room.agents.values()],
        "deals": [deal_document(room, deal) for deal in room.deals.values()],
        "chat": [msgspec.to_builtins(line) for line in moment.lines],
    }


def print_moment(moment: Moment) -> None:
    """Prints the room."""
    room, screen = moment.room, out()
    buyers, sellers = present(room)
    screen.print(
        f"{clean(room.name) or 'no room yet'}  round {max(room.round, 0)}, {clock(room, moment.at_ms)} of room time, "
        f"event {moment.event:,} of {moment.events:,}{f' ({moment.type})' if moment.type else ''}, {room.status}",
        style="bold",
        soft_wrap=True,
    )
    screen.print(
        f"floor {usdc(room.floor)}   top bid {usdc(room.top_bid)}   spread {usdc(spread(room))}   "
        f"{count(buyers, 'buyer')}, {count(sellers, 'seller')} present",
        soft_wrap=True,
    )
    _print_quotes(room)
    _print_agents(room)
    if room.deals:
        print_deals(room)
    for line in moment.lines:
        screen.print(rich_line(line, rounds=True))


def _print_quotes(room: Room) -> None:
    market = Market(room)
    if not room.quotes:
        return
    quotes = table("Side", ">Price (USDC)", "Agent", "Item", ">Since round")
    for quote in (*market.asks, *market.bids):
        agent = room.agents[quote.agent]
        side = "ask" if quote.side is Role.SELLER else "bid"
        item = room.items.get(quote.token_id or "")
        quotes.add_row(
            Text(side, style=ROLE_STYLES[quote.side]),
            usdc(quote.price_usdc_micros),
            clean(f"{agent.avatar} {agent.name}"),
            clean(item_name(item, room.comparable_by)) if item else f"any {quote.grade}".strip(),
            str(quote.round),
        )
    out().print(quotes)


def _print_agents(room: Room) -> None:
    if not room.agents:
        return
    agents = table("Agent", "Id", "Role", "Status", "Strategy", "Style", ">Said")
    for agent in room.agents.values():
        status = f"{agent.status}: {words(agent.left_reason)}" if agent.left_reason else agent.status
        agents.add_row(
            clean(f"{agent.avatar} {agent.name}"),
            agent.id.removeprefix("agent_"),
            Text(agent.role, style=ROLE_STYLES[agent.role]),
            status,
            agent.strategy,
            agent.style,
            str(room.records[agent.id].said),
        )
    out().print(agents)


def _agent_document(room: Room, agent: Agent) -> dict[str, Any]:
    quote = room.quote_of.get(agent.id)
    return {
        "agent": agent.id,
        "name": agent.name,
        "role": agent.role,
        "status": agent.status,
        "strategy": agent.strategy,
        "style": agent.style,
        "item": agent.item.name if agent.item else None,
        "token_id": agent.item.token_id if agent.item else None,
        "quote": quote,
        "deal": agent.deal,
        "said": room.records[agent.id].said,
        "joined_round": agent.joined_round,
        "left_round": agent.left_round,
        "left_reason": agent.left_reason,
    }
