"""Read models are folds, too: made anew from the log they agree with the rooms, in its middle and at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.room import Room
from agentrooms.events.record import PLATFORM, Recorded
from agentrooms.projections import agents, deals, floor_path, quotes
from agentrooms.projections.floor_path import FloorRow
from agentrooms.projections.quotes import QuoteState
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import Log

PARTS = 2

Facts = Mapping[str, object]


def check_tables(log: Log) -> Check:
    """Compares the tables of the log's first part, and of all of it, with the rooms folded as far (invariant 5)."""
    found = Findings("tables", log.place)
    events = [recorded for _number, recorded in log.events]
    before: list[FloorRow] = []
    for part in range(1, PARTS + 1):
        first = events[: len(events) * part // PARTS]
        rooms = _rooms(first)
        path = floor_path.rows(first)
        for name, (of_table, of_room) in _TABLES.items():
            made = _by_room(of_table(path if name == "floor_path" else first), rooms)
            for chain, room in rooms.items():
                _compare(found, f"{name} of room {chain} after event {len(first)}", made[chain], of_room(room))
        found.expect(path[: len(before)] == before, 0, f"floor_path is another up to event {len(first)} than it was")
        before = path
    return found.check("quotes, deals, agents and floor path agree with the rooms, in the log's middle and at its end")


def _rooms(events: Iterable[Recorded]) -> dict[str, Room]:
    chains: dict[str, list[Event]] = {}
    for recorded in events:
        if recorded.chain != PLATFORM:
            chains.setdefault(recorded.chain, []).append(recorded.event)
    return {chain: fold(Room(), of_room) for chain, of_room in chains.items()}


def _by_room(rows: Iterable[tuple[str, str, object]], rooms: Iterable[str]) -> dict[str, dict[str, object]]:
    made: dict[str, dict[str, object]] = {chain: {} for chain in rooms}
    for chain, key, value in rows:
        made.setdefault(chain, {})[key] = value
    return made


def _compare(found: Findings, what: str, made: Facts, due: Facts) -> None:
    found.count += len(due)
    if list(made) != list(due):
        odd = sorted(made.keys() ^ due.keys()) or ["in another order"]
        found.wrong(0, f"{what}: the table has {len(made)} rows, the room {len(due)}: {odd[0]}")
        return
    for key, value in due.items():
        if made[key] != value:
            found.wrong(0, f"{what}: {key} is {made[key]} in the table, {value} in the room")


def _deal_rows(events: Iterable[Recorded]) -> Iterable[tuple[str, str, object]]:
    for row in deals.rows(events):
        parties = (row.buyer, row.seller, row.token_id, row.price_usdc_micros, row.quote)
        course = (row.locked_round, row.certified_round, row.decision, row.tx_hash, row.ended_round)
        yield row.room, row.deal, (*parties, *course, row.state, row.fail_reason, row.block)


def _deals_of(room: Room) -> Facts:
    return {
        name: (
            *(deal.terms.buyer, deal.terms.seller, deal.terms.item.token_id, deal.terms.price_usdc_micros),
            *(deal.terms.quote, deal.locked_round, deal.certified_round, deal.decision, deal.tx_hash),
            *(deal.ended_round, deal.state, deal.fail_reason),
            deal.receipt.block if deal.receipt is not None else None,
        )
        for name, deal in room.deals.items()
    }


def _quote_rows(events: Iterable[Recorded]) -> Iterable[tuple[str, str, object]]:
    for row in quotes.rows(events):
        if row.state is QuoteState.STANDING:
            who = (row.agent, row.side, row.to, row.submitted_round)
            yield row.room, row.quote, (*who, row.price_usdc_micros, row.token_id, row.grade)


def _quotes_of(room: Room) -> Facts:
    return {
        name: (q.agent, q.side, q.to, q.round, q.price_usdc_micros, q.token_id, q.grade)
        for name, q in room.quotes.items()
    }


def _agent_rows(events: Iterable[Recorded]) -> Iterable[tuple[str, str, object]]:
    for row in agents.rows(events):
        life = (row.status, row.strategy, row.style, row.joined_round, row.left_round, row.left_reason)
        said = (row.messages, row.overtaken, row.failed_deals, row.refusals)
        yield row.room, row.agent, (*life, *said, row.first_price_usdc_micros, row.last_price_usdc_micros)


def _agents_of(room: Room) -> Facts:
    return {
        name: (
            *(a.status, a.strategy, a.style, a.joined_round, a.left_round, a.left_reason),
            *(r.said, r.overtaken, r.lost_deals, r.refusals),
            *(r.first_price_usdc_micros, r.last_price_usdc_micros),
        )
        for name, a in room.agents.items()
        for r in (room.records[name],)
    }


def _floor_rows(path: Iterable[Any]) -> Iterable[tuple[str, str, object]]:
    last = {row.room: (row.floor_usdc_micros, row.top_bid_usdc_micros) for row in path}
    return ((room, "last", prices) for room, prices in last.items() if prices != (None, None))


def _floor_of(room: Room) -> Facts:
    prices = (room.floor, room.top_bid)
    return {"last": prices} if prices != (None, None) else {}


_TABLES: dict[str, tuple[Callable[[Any], Iterable[tuple[str, str, object]]], Callable[[Room], Facts]]] = {
    "deals": (_deal_rows, _deals_of),
    "quotes": (_quote_rows, _quotes_of),
    "agents": (_agent_rows, _agents_of),
    "floor_path": (_floor_rows, _floor_of),
}
