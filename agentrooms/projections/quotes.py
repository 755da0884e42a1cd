"""Quotes: the life of every ask and bid, from the act that makes it to what ends it.

An agent has at most one standing quote. The room's own fold says whether it stands; this table adds
why it ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec.structs import replace

from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured
from agentrooms.domain.deal import DealLocked
from agentrooms.domain.event import Event
from agentrooms.domain.folding import better
from agentrooms.domain.market import fits, rests
from agentrooms.domain.room import ActPosted, Quote, QuoteExpired, Room
from agentrooms.domain.terms import ActKind, Role
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import MILLISECONDS, ROUND, USDC_MICROS, Note, Table
from agentrooms.projections.walk import Rooms, round_of


class QuoteState(StrEnum):
    """What became of a quote."""

    STANDING = "standing"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    ACCEPTED = "accepted"
    BOUND = "bound"
    PAUSED = "paused"
    CHANGED = "changed"
    LEFT = "left"


class QuoteRow(msgspec.Struct, frozen=True):
    """One quote from its making to its end."""

    room: Annotated[str, Note("room id")]
    quote: Annotated[str, Note("quote id")]
    agent: Annotated[str, Note("id of the agent that quotes")]
    side: Annotated[Role, Note("seller for an ask, buyer for a bid")]
    token_id: Annotated[str | None, Note("item asked or bid for", null="a bid on anything its agent wants")]
    grade: Annotated[str, Note("class of comparable items in which it ranks; empty for a bid on any")]
    price_usdc_micros: Annotated[int, Note("price", USDC_MICROS)]
    to: Annotated[str | None, Note("id of the agent it was addressed to", null="addressed to the whole room")]
    answers: Annotated[
        str | None, Note("quote of the other side that it counters", null="an offer: it answers no quote")
    ]
    submitted_event: Annotated[int, Note("place in the log of the act that made it, from 1", "events")]
    submitted_seq: Annotated[int, Note("the same within the room", "events")]
    submitted_round: Annotated[int, Note("round in which it was made", ROUND)]
    submitted_at_ms: Annotated[int, Note("time of that round", MILLISECONDS)]
    aggressor: Annotated[
        bool,
        Note(
            "true when it crossed: as it was made, a standing quote that its agent might have taken was as good or "
            "better; false when it came to rest"
        ),
    ]
    improved: Annotated[
        bool, Note("true when it bettered the best standing price of its side and grade, or was the first there")
    ]
    state: Annotated[
        QuoteState,
        Note(
            "standing; replaced by a newer one of its agent; withdrawn; expired; accepted; bound (its agent locked a "
            "deal on another quote); paused; changed (its agent got another mandate); left (its agent went)"
        ),
    ]
    ended_event: Annotated[int | None, Note("place in the log of what ended it", "events", "it still stands")]
    ended_round: Annotated[int | None, Note("round in which it ended", ROUND, "it still stands")]
    accepted_by: Annotated[str | None, Note("id of the agent that accepted it", null="nobody did")]
    deal: Annotated[str | None, Note("deal that accepting it locked", null="none")]


def rows(events: Iterable[Recorded]) -> list[QuoteRow]:
    """Returns one row for each quote, in the order of their making."""
    found: dict[tuple[str, str], QuoteRow] = {}
    rooms = Rooms()
    for number, recorded in enumerate(events, start=1):
        event, chain = recorded.event, recorded.chain
        before = rooms.get(chain)
        stood = [(agent, before.quote_of[agent]) for agent in _touched(event) if agent in before.quote_of]
        made = _made(before, number, recorded)
        led = {place: before.quotes[quote].price_usdc_micros for place, quote in before.leaders.items() if made}
        rooms.apply(number, recorded)
        after = rooms.get(chain)
        for agent, quote in stood:
            if after.quote_of.get(agent) != quote:
                found[chain, quote] = _ended(found[chain, quote], event, number)
        if made is not None:
            grade = after.quotes[made.quote].grade
            best = led.get((made.side, grade))
            improved = best is None or better(made.side, made.price_usdc_micros, best)
            found[chain, made.quote] = replace(made, grade=grade, improved=improved)
    return list(found.values())


def _touched(event: Event) -> tuple[str, ...]:
    """Returns the agents whose quote the event may end."""
    match event:
        case ActPosted() | QuoteExpired() | AgentLeft() | AgentPaused() | AgentReconfigured():
            return (event.agent,)
        case DealLocked():
            return (event.terms.buyer, event.terms.seller)
    return ()


def _made(room: Room, number: int, recorded: Recorded) -> QuoteRow | None:
    """Returns the quote that the event makes, judged against the room before it; grade and rank are not known yet."""
    event = recorded.event
    if not isinstance(event, ActPosted) or event.act not in {ActKind.OFFER, ActKind.COUNTER}:
        return None
    agent = room.agents.get(event.agent)
    if agent is None or event.quote is None or event.price_usdc_micros is None:
        return None  # the fold refuses such an event in a moment
    return QuoteRow(
        room=recorded.chain,
        quote=event.quote,
        agent=agent.id,
        side=agent.role,
        token_id=event.token_id,
        grade="",
        price_usdc_micros=event.price_usdc_micros,
        to=event.to,
        answers=event.refers_to,
        submitted_event=number,
        submitted_seq=recorded.seq,
        submitted_round=event.round,
        submitted_at_ms=recorded.at_ms,
        aggressor=_crosses(room, event),
        improved=False,
        state=QuoteState.STANDING,
        ended_event=None,
        ended_round=None,
        accepted_by=None,
        deal=None,
    )


def _crosses(room: Room, event: ActPosted) -> bool:
    """Tells whether the priced act reaches a standing quote that its agent might have taken instead."""
    agent, price = room.agents[event.agent], event.price_usdc_micros
    assert price is not None

    def reaches(quote: Quote) -> bool:
        if quote.side is agent.role or better(quote.side, price, quote.price_usdc_micros):
            return False
        if event.token_id is not None and quote.token_id not in {None, event.token_id}:
            return False
        return fits(room, agent, quote) and not rests(room, agent, quote, event.round)

    return any(reaches(quote) for quote in room.quotes.values())


def _ended(row: QuoteRow, event: Event, number: int) -> QuoteRow:
    ended = replace(row, ended_event=number, ended_round=round_of(event))
    match event:
        case DealLocked() if event.terms.quote == row.quote:
            terms = event.terms
            other = terms.seller if row.side is Role.BUYER else terms.buyer
            return replace(ended, state=QuoteState.ACCEPTED, accepted_by=other, deal=terms.deal)
        case DealLocked():
            return replace(ended, state=QuoteState.BOUND)
        case ActPosted():
            withdrawn = event.act is ActKind.WITHDRAW
            return replace(ended, state=QuoteState.WITHDRAWN if withdrawn else QuoteState.REPLACED)
        case QuoteExpired():
            return replace(ended, state=QuoteState.EXPIRED)
        case AgentPaused():
            return replace(ended, state=QuoteState.PAUSED)
        case AgentReconfigured():
            return replace(ended, state=QuoteState.CHANGED)
    return replace(ended, state=QuoteState.LEFT)


TABLE = Table("quotes", "Every ask and bid with its life cycle.", QuoteRow, rows)
