"""A room: a market for one collection. Its events and its state; the state holds no secret.

How events make the state is in `folding.py`, what may happen next in `posting.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from agentrooms.domain.agent import Agent
from agentrooms.domain.assets import ANY_GRADE, Item
from agentrooms.domain.deal import Deal
from agentrooms.domain.event import Event
from agentrooms.domain.record import Record
from agentrooms.domain.terms import ActKind, Mood, Role


class RoomStatus(StrEnum):
    """Whether a room trades; the words are the PRD's."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class CloseReason(StrEnum):
    """Why a room closed."""

    ALL_AGENTS_LEFT = "all_agents_left"
    REQUESTED = "requested"


class RoomOpened(Event, frozen=True, kw_only=True):
    """A room opened. `round_ms` and `started_at_ms` make room time; a quote stands `quote_rounds`."""

    base_grade: str
    collection: str
    comparable_by: str
    name: str
    quote_rounds: int
    room: str
    round_ms: int
    started_at_ms: int


class RoomClosed(Event, frozen=True):
    """The room closed; its agents have left."""

    reason: CloseReason
    round: int


class ActPosted(Event, frozen=True, kw_only=True):
    """An act took effect with its words. `quote` is the quote it makes or retracts, `refers_to` the one it answers."""

    act: ActKind
    agent: str
    mood: Mood
    price_usdc_micros: int | None
    quote: str | None
    refers_to: str | None
    round: int
    text: str
    to: str | None
    token_id: str | None
    wording: str


class ActsExplained(Event, frozen=True):
    """Why each act of the round was decided; for its owner only."""

    reasons: dict[str, dict[str, str | int]]
    round: int


class QuoteExpired(Event, frozen=True):
    """A quote stood for as long as quotes stand in this room."""

    agent: str
    quote: str
    round: int


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A standing ask or bid. `token_id` is None for a bid on anything its agent wants; `grade` says where it ranks."""

    id: str
    agent: str
    side: Role
    price_usdc_micros: int
    token_id: str | None
    grade: str
    round: int
    to: str | None


class PersonSpoke(Event, frozen=True):
    """A person, the user of a wallet, said something. Agents do not listen."""

    round: int
    text: str
    user: str
    wallet: str


@dataclass(frozen=True, slots=True)
class Room:
    """Everything public about a room at one moment; `round` is that of the last event.

    `persons` are the rounds in which each user spoke within the last minute.
    """

    id: str = ""
    name: str = ""
    collection: str = ""
    comparable_by: str = ""
    base_grade: str = ""
    quote_rounds: int = 0
    round_ms: int = 0
    started_at_ms: int = 0
    status: RoomStatus = RoomStatus.INACTIVE
    round: int = -1
    agents: dict[str, Agent] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    quote_of: dict[str, str] = field(default_factory=dict)
    leaders: dict[tuple[Role, str], str] = field(default_factory=dict)
    deals: dict[str, Deal] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    rests: dict[tuple[str, str], int] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    persons: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def at_ms(self, round_: int) -> int:
        """Returns the room time of a round, in milliseconds."""
        return self.started_at_ms + round_ * self.round_ms

    def leader(self, side: Role, grade: str) -> Quote | None:
        """Returns the best standing quote of a side within one grade."""
        quote = self.leaders.get((side, grade))
        return self.quotes[quote] if quote is not None else None

    def best(self, side: Role, grade: str) -> int | None:
        """Returns a side's best standing price for an item of a grade; a bid on any item counts, too."""
        if side is Role.SELLER:
            ask = self.leader(side, grade)
            return ask.price_usdc_micros if ask else None
        bids = [self.leader(side, wanted) for wanted in {ANY_GRADE, grade}]
        return max((bid.price_usdc_micros for bid in bids if bid), default=None)

    @property
    def floor(self) -> int | None:
        """The lowest standing ask among items of the base grade, in micro-USDC."""
        return self.best(Role.SELLER, self.base_grade)

    @property
    def top_bid(self) -> int | None:
        """The highest standing bid that an item of the base grade may take, in micro-USDC."""
        return self.best(Role.BUYER, self.base_grade)

    def live_deals(self) -> list[Deal]:
        """Returns the deals that still bind their parties, in lock order."""
        return [deal for deal in self.deals.values() if deal.live]
