"""The auditor's own small model of a trading floor, apart from the room's fold: who is there, what stands.

It takes any sequence of events without complaint; the checks complain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.assets import Item
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, Terms
from agentrooms.domain.event import Event
from agentrooms.domain.room import ActPosted, PersonSpoke, QuoteExpired, RoomClosed, RoomOpened
from agentrooms.domain.terms import ActKind, Role

PRICED = (ActKind.OFFER, ActKind.COUNTER)


@dataclass(slots=True)
class Seat:
    """One agent in the room. `spoken` holds the rounds of its messages."""

    spawned: AgentSpawned
    mandate_hash: str
    paused: bool = False
    left: bool = False
    done: bool = False
    deal: str | None = None
    quote: str | None = None
    last_round: int = -1
    spoken: list[int] = field(default_factory=list)

    def hindrance(self) -> str:
        """Returns why the agent may not speak, "" when it may."""
        if self.left:
            return "has left"
        if self.done:
            return "has completed its deal"
        if self.deal is not None:
            return f"is locked in deal {self.deal}"
        return "is paused" if self.paused else ""


@dataclass(slots=True)
class Quote:
    """A priced ask or bid, with the line that made it."""

    id: str
    agent: str
    side: Role
    price_usdc_micros: int
    token_id: str | None
    round: int
    line: int


class Floor:
    """One room's floor; `made` keeps all quotes ever made, `quotes` those that stand, `persons` when users spoke."""

    def __init__(self) -> None:
        self.opened: RoomOpened | None = None
        self.closed = False
        self.seats: dict[str, Seat] = {}
        self.items: dict[str, Item] = {}
        self.quotes: dict[str, Quote] = {}
        self.made: dict[str, Quote] = {}
        self.live: dict[str, Terms] = {}
        self.persons: dict[str, list[int]] = {}

    def apply(self, line: int, event: Event) -> None:
        """Takes one event of this room into account."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, line, event)

    def item_of(self, agent: str) -> Item | None:
        """Returns the item a seller sells."""
        seat = self.seats.get(agent)
        return seat.spawned.item if seat is not None else None

    def drop(self, seat: Seat) -> None:
        """Takes an agent's quote off the book."""
        if seat.quote is not None:
            self.quotes.pop(seat.quote, None)
            seat.quote = None


def _opened(floor: Floor, _line: int, event: RoomOpened) -> None:
    floor.opened = floor.opened or event


def _closed(floor: Floor, _line: int, _event: RoomClosed) -> None:
    floor.closed = True


def _spawned(floor: Floor, _line: int, event: AgentSpawned) -> None:
    floor.seats.setdefault(event.agent, Seat(event, event.mandate_hash))
    if event.item is not None:
        floor.items[event.item.token_id] = event.item


def _lived(floor: Floor, _line: int, event: AgentPaused | AgentResumed | AgentReconfigured | AgentLeft) -> None:
    seat = floor.seats.get(event.agent)
    if seat is None:
        return
    if isinstance(event, AgentReconfigured):
        if event.mandate_hash != seat.mandate_hash:
            floor.drop(seat)
        seat.mandate_hash = event.mandate_hash
    elif isinstance(event, AgentResumed):
        seat.paused = False
    else:
        seat.paused = seat.paused or isinstance(event, AgentPaused)
        seat.left = seat.left or isinstance(event, AgentLeft)
        floor.drop(seat)


def _posted(floor: Floor, line: int, event: ActPosted) -> None:
    seat = floor.seats.get(event.agent)
    if seat is None:
        return
    seat.last_round = event.round
    seat.spoken.append(event.round)
    if event.act in PRICED and event.quote is not None and event.price_usdc_micros is not None:
        floor.drop(seat)
        role, price = seat.spawned.role, event.price_usdc_micros
        quote = Quote(event.quote, event.agent, role, price, event.token_id, event.round, line)
        floor.quotes[quote.id] = floor.made[quote.id] = quote
        seat.quote = quote.id
    elif event.act is ActKind.WITHDRAW:
        floor.drop(seat)


def _person_spoke(floor: Floor, _line: int, event: PersonSpoke) -> None:
    floor.persons.setdefault(event.user, []).append(event.round)


def _expired(floor: Floor, _line: int, event: QuoteExpired) -> None:
    seat = floor.seats.get(event.agent)
    if seat is not None and seat.quote == event.quote:
        floor.drop(seat)


def _locked(floor: Floor, _line: int, event: DealLocked) -> None:
    floor.live[event.terms.deal] = event.terms
    for name in (event.terms.buyer, event.terms.seller):
        seat = floor.seats.get(name)
        if seat is not None:
            floor.drop(seat)
            seat.deal = event.terms.deal


def _ended(floor: Floor, _line: int, event: DealCompleted | DealFailed) -> None:
    terms = floor.live.pop(event.deal, None)
    for name in (terms.buyer, terms.seller) if terms is not None else ():
        seat = floor.seats.get(name)
        if seat is not None and seat.deal == event.deal:
            seat.done = isinstance(event, DealCompleted)
            seat.deal = None


_HANDLERS: dict[type[Event], Callable[[Floor, int, Any], None]] = {
    RoomOpened: _opened,
    RoomClosed: _closed,
    AgentSpawned: _spawned,
    AgentPaused: _lived,
    AgentResumed: _lived,
    AgentReconfigured: _lived,
    AgentLeft: _lived,
    ActPosted: _posted,
    PersonSpoke: _person_spoke,
    QuoteExpired: _expired,
    DealLocked: _locked,
    DealCompleted: _ended,
    DealFailed: _ended,
}
