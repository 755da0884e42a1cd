"""How a room follows from its events. The same fold runs live, in replay and in audits.

`evolve` and `fold` return new rooms; inside, a fold works on one private draft, so that a thousand
events cost one copy.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from agentrooms.domain import agent as agents_
from agentrooms.domain import deal as deals_
from agentrooms.domain.agent import Agent, AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealEvent,
    DealFailed,
    DealLocked,
    DealVerifying,
    EscrowSubmitted,
    VerifierAccused,
)
from agentrooms.domain.event import Event
from agentrooms.domain.record import MESSAGES_A_MINUTE, MINUTE_MS, Record
from agentrooms.domain.room import (
    ActPosted,
    ActsExplained,
    PersonSpoke,
    Quote,
    QuoteExpired,
    Room,
    RoomClosed,
    RoomOpened,
    RoomStatus,
)
from agentrooms.domain.terms import ActKind, Role

LINES_KEPT = 30  # no line repeats within these
PAIR_REST_ROUNDS = 30  # rounds in which a pair whose deal failed locks no other


class Draft:
    """A room under change, with private tables: apply events in place, then `freeze` it once."""

    __slots__ = ("lines", "room", "round")

    def __init__(self, room: Room) -> None:
        self.room = dataclasses.replace(
            room,
            agents=dict(room.agents),
            records=dict(room.records),
            quotes=dict(room.quotes),
            quote_of=dict(room.quote_of),
            leaders=dict(room.leaders),
            deals=dict(room.deals),
            items=dict(room.items),
            rests=dict(room.rests),
            persons=dict(room.persons),
        )
        self.round = room.round
        self.lines = deque(room.lines, maxlen=LINES_KEPT)

    def apply(self, event: Event) -> None:
        """Takes one event of this room into account. Events of other things change nothing."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def freeze(self) -> Room:
        """Returns the room as it is now; the draft must not be used after."""
        return dataclasses.replace(self.room, round=self.round, lines=tuple(self.lines))


def evolve(room: Room, event: Event) -> Room:
    """Returns the room after one event."""
    return fold(room, (event,))


def fold(room: Room, events: Iterable[Event]) -> Room:
    """Returns the room after all the events, in order."""
    draft = Draft(room)
    for event in events:
        draft.apply(event)
    return draft.freeze()


def better(side: Role, price: int, than: int) -> bool:
    """Tells whether a price ranks before another on its side: lower asks, higher bids."""
    return price < than if side is Role.SELLER else price > than


def _opened(draft: Draft, event: RoomOpened) -> None:
    draft.room = dataclasses.replace(
        draft.room,
        id=event.room,
        name=event.name,
        collection=event.collection,
        comparable_by=event.comparable_by,
        base_grade=event.base_grade,
        quote_rounds=event.quote_rounds,
        round_ms=event.round_ms,
        started_at_ms=event.started_at_ms,
        status=RoomStatus.ACTIVE,
    )
    draft.round = 0


def _closed(draft: Draft, event: RoomClosed) -> None:
    draft.room = dataclasses.replace(draft.room, status=RoomStatus.INACTIVE)
    draft.round = event.round


def _spawned(draft: Draft, event: AgentSpawned) -> None:
    draft.room.agents[event.agent] = agents_.born(event)
    draft.room.records[event.agent] = Record()
    if event.item is not None:
        draft.room.items[event.item.token_id] = event.item
    draft.round = event.round


def _lived(draft: Draft, event: AgentPaused | AgentResumed | AgentReconfigured | AgentLeft) -> None:
    room = draft.room
    before = room.agents[event.agent]
    after = room.agents[event.agent] = agents_.evolve(before, event)
    if not after.may_act or after.mandate_hash != before.mandate_hash:
        _drop_quote(room, event.agent)
    draft.round = event.round


def _expired(draft: Draft, event: QuoteExpired) -> None:
    _drop_quote(draft.room, event.agent)
    draft.round = event.round


def _explained(draft: Draft, event: ActsExplained) -> None:
    draft.round = event.round


def _posted(draft: Draft, event: ActPosted) -> None:
    room = draft.room
    agent = room.agents[event.agent]
    priced = event.act in _PRICED
    room.agents[event.agent] = agents_.spoke(agent, priced=priced)
    if event.to is not None:
        _address(room, event)
    if priced:
        _stand(room, agent, event)
    elif event.act is ActKind.WITHDRAW:
        _drop_quote(room, event.agent)
    _count(room, agent, event)
    draft.lines.append(event.text)
    draft.round = event.round


def _person_spoke(draft: Draft, event: PersonSpoke) -> None:
    """Notes when the user spoke, and forgets whoever has been silent for a minute: their rate is free again."""
    room = draft.room
    for user, rounds in list(room.persons.items()):
        if (event.round - rounds[-1]) * room.round_ms >= MINUTE_MS:
            del room.persons[user]
    spoken = room.persons.get(event.user, ())
    room.persons[event.user] = (*spoken[1 - MESSAGES_A_MINUTE :], event.round)
    draft.round = event.round


def _locked(draft: Draft, event: DealLocked) -> None:
    room, terms = draft.room, event.terms
    room.deals[terms.deal] = deals_.born(event)
    for party in (terms.buyer, terms.seller):
        _drop_quote(room, party)
        room.agents[party] = agents_.locked(room.agents[party], terms.deal)
    draft.round = event.round


def _deal_moved(draft: Draft, event: DealEvent) -> None:
    assert not isinstance(event, DealLocked)
    room = draft.room
    deal = room.deals[event.deal] = deals_.evolve(room.deals[event.deal], event)
    draft.round = event.round
    if deal.live:
        return
    parties = (deal.terms.buyer, deal.terms.seller)
    for party in parties:
        room.agents[party] = agents_.released(room.agents[party], completed=isinstance(event, DealCompleted))
    if isinstance(event, DealFailed):
        room.rests[parties] = event.round + PAIR_REST_ROUNDS
        for party in parties:
            record = room.records[party]
            room.records[party] = replace(record, lost_deals=record.lost_deals + 1)


def _stand(room: Room, agent: Agent, event: ActPosted) -> None:
    """Lets the act's quote stand in place of the agent's former one."""
    assert event.quote is not None
    assert event.price_usdc_micros is not None
    price, side = event.price_usdc_micros, agent.role
    quote = Quote(
        event.quote, agent.id, side, price, event.token_id, _grade(room, agent, event.token_id), event.round, event.to
    )
    place = (side, quote.grade)
    leader = room.leader(side, quote.grade)
    leads = leader is None or better(side, price, leader.price_usdc_micros)
    if leads:
        if leader is not None and leader.agent != agent.id:
            record = room.records[leader.agent]
            room.records[leader.agent] = replace(record, overtaken=record.overtaken + 1)
        room.leaders[place] = quote.id  # before the former quote goes, so that no heir is sought for it
    _drop_quote(room, agent.id)
    room.quotes[quote.id] = quote
    room.quote_of[agent.id] = quote.id
    if not leads:
        heir = room.leader(side, quote.grade)
        if heir is None or better(side, price, heir.price_usdc_micros):
            room.leaders[place] = quote.id


def _drop_quote(room: Room, agent: str) -> None:
    """Takes the agent's quote off the book and finds the next leader when it led."""
    quote_id = room.quote_of.pop(agent, None)
    if quote_id is None:
        return
    quote = room.quotes.pop(quote_id)
    place = (quote.side, quote.grade)
    if room.leaders.get(place) != quote_id:
        return
    del room.leaders[place]
    sign = 1 if quote.side is Role.SELLER else -1
    rest = (q for q in room.quotes.values() if q.side is quote.side and q.grade == quote.grade)
    heir = min(rest, key=lambda q: (sign * q.price_usdc_micros, q.round, q.id), default=None)
    if heir is not None:
        room.leaders[place] = heir.id


def _grade(room: Room, agent: Agent, token_id: str | None) -> str:
    if agent.item is not None:
        return agent.item.grade(room.comparable_by)
    if token_id in room.items:
        return room.items[token_id].grade(room.comparable_by)
    assert agent.wants is not None
    return agent.wants.grade(room.comparable_by)


def _address(room: Room, event: ActPosted) -> None:
    """Notes on the addressee's record what was said to it: a refusal, or a price and how far it came nearer."""
    assert event.to is not None
    heard = room.records[event.to]
    conceded = 0
    before = room.records[event.agent].last_price_usdc_micros
    if event.act is ActKind.COUNTER and before is not None and event.price_usdc_micros is not None:
        step = event.price_usdc_micros - before
        conceded = max(0, step if room.agents[event.agent].role is Role.BUYER else -step)
    refused = event.act is ActKind.REJECT
    room.records[event.to] = replace(
        heard,
        addressed_round=event.round,
        addressed_by=event.agent,
        refusals=heard.refusals + refused,
        refusals_in_row=heard.refusals_in_row + 1 if refused else (heard.refusals_in_row if not conceded else 0),
        concessions_received=heard.concessions_received + (conceded > 0),
        last_concession_usdc_micros=conceded if event.act is ActKind.COUNTER else heard.last_concession_usdc_micros,
    )


def _count(room: Room, agent: Agent, event: ActPosted) -> None:
    record = room.records[agent.id]
    price = event.price_usdc_micros if event.act in _PRICED else None
    quote = room.quote_of.get(agent.id)
    room.records[agent.id] = replace(
        record,
        said=record.said + 1,
        last_round=event.round,
        recent_rounds=(*record.recent_rounds[1 - MESSAGES_A_MINUTE :], event.round),
        first_price_usdc_micros=price if record.first_price_usdc_micros is None else record.first_price_usdc_micros,
        last_price_usdc_micros=record.last_price_usdc_micros if price is None else price,
        led=quote is not None and room.leaders.get((agent.role, room.quotes[quote].grade)) == quote,
    )


_PRICED = frozenset({ActKind.OFFER, ActKind.COUNTER})
_HANDLERS: dict[type[Event], Callable[[Draft, Any], None]] = {
    RoomOpened: _opened,
    RoomClosed: _closed,
    AgentSpawned: _spawned,
    AgentPaused: _lived,
    AgentResumed: _lived,
    AgentReconfigured: _lived,
    AgentLeft: _lived,
    ActPosted: _posted,
    ActsExplained: _explained,
    QuoteExpired: _expired,
    PersonSpoke: _person_spoke,
    DealLocked: _locked,
    DealVerifying: _deal_moved,
    DealCertified: _deal_moved,
    VerifierAccused: _deal_moved,
    EscrowSubmitted: _deal_moved,
    DealCompleted: _deal_moved,
    DealFailed: _deal_moved,
}
