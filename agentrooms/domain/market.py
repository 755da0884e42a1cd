"""What one agent knows when it decides: the public market, its public record and its own mandate.

`Situation` is the only input of a strategy. No field of it can hold another agent's limit: the room
it refers to has none, and its one mandate is the agent's own.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from agentrooms.domain.agent import Agent
from agentrooms.domain.ids import draw_below
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.record import Record
from agentrooms.domain.room import Quote, Room
from agentrooms.domain.terms import Role

SETTLEMENT_MS = 30_000  # an agent trades no later than this before its mandate expires: settling takes time
PERMILLE = 1000


class Market:
    """A room's standing quotes as all its agents see them in one round, best first."""

    __slots__ = ("_crowds", "_present", "asks", "bids", "room")
    room: Room
    asks: list[Quote]
    bids: list[Quote]
    _crowds: Counter[tuple[Role, str]] | None
    _present: dict[Role, list[Agent]]

    def __init__(self, room: Room) -> None:
        self.room = room
        self._crowds = None
        self._present = {}
        self.asks, self.bids = [], []
        for quote in room.quotes.values():
            (self.asks if quote.side is Role.SELLER else self.bids).append(quote)
        self.asks.sort(key=_ask_rank)
        self.bids.sort(key=_bid_rank)

    def best_for(self, agent: Agent, round_: int) -> Quote | None:
        """Returns the best opposing quote the agent could take: on its item or its wants, not from a resting pair."""
        for quote in self.bids if agent.role is Role.SELLER else self.asks:
            if fits(self.room, agent, quote) and not rests(self.room, agent, quote, round_):
                return quote
        return None

    def rival_of(self, agent: Agent) -> Quote | None:
        """Returns the best quote that competes with the agent's own: same side, comparable items.

        A bid for any item competes for those of the base grade.
        """
        ours = self.asks if agent.role is Role.SELLER else self.bids
        base = self.room.base_grade
        rank = self.grade_of(agent) or base
        for quote in ours:
            if (quote.grade or base) == rank and quote.agent != agent.id:
                return quote
        return None

    def crowds(self, agent: Agent) -> tuple[int, int]:
        """Returns how many comparable quotes stand on the agent's own side and on the other; counted once a round."""
        base = self.room.base_grade
        if self._crowds is None:
            self._crowds = Counter((q.side, q.grade or base) for q in self.room.quotes.values())
        rank = self.grade_of(agent) or base
        theirs = Role.BUYER if agent.role is Role.SELLER else Role.SELLER
        return self._crowds[agent.role, rank], self._crowds[theirs, rank]

    def has_counterpart(self, agent: Agent) -> bool:
        """Tells whether anybody present who has spoken sells what the agent wants, or wants what it sells.

        Who is silent does not count: an agent shifts nobody's acts before its own first one.
        """
        theirs = Role.BUYER if agent.role is Role.SELLER else Role.SELLER
        if theirs not in self._present:
            room = self.room
            self._present[theirs] = [
                a for a in room.agents.values() if a.present and a.role is theirs and room.records[a.id].said
            ]
        return any(suits(agent, other) for other in self._present[theirs])

    def grade_of(self, agent: Agent) -> str:
        """Returns the grade the agent trades in."""
        if agent.item is not None:
            return agent.item.grade(self.room.comparable_by)
        assert agent.wants is not None
        return agent.wants.grade(self.room.comparable_by)


def _ask_rank(quote: Quote) -> tuple[int, int, str]:
    return quote.price_usdc_micros, quote.round, quote.id


def _bid_rank(quote: Quote) -> tuple[int, int, str]:
    return -quote.price_usdc_micros, quote.round, quote.id


def fits(room: Room, agent: Agent, quote: Quote) -> bool:
    """Tells whether a quote of the other side is about what the agent sells or wants."""
    if agent.role is Role.SELLER and quote.token_id is not None:
        return agent.item is not None and quote.token_id == agent.item.token_id
    return suits(agent, room.agents[quote.agent])


def suits(agent: Agent, other: Agent) -> bool:
    """Tells whether one of two agents of opposite roles wants what the other sells."""
    item, wants = (other.item, agent.wants) if agent.role is Role.BUYER else (agent.item, other.wants)
    return item is not None and wants is not None and wants.covers(item)


def rests(room: Room, agent: Agent, quote: Quote, round_: int) -> bool:
    """Tells whether a deal of this pair failed a short while ago."""
    if not room.rests:
        return False
    pair = (agent.id, quote.agent) if agent.role is Role.BUYER else (quote.agent, agent.id)
    return room.rests.get(pair, -1) > round_


class Situation(msgspec.Struct, frozen=True):
    """One agent's moment of decision. Prices in micro-USDC, `elapsed_permille` of its trading time."""

    market: Market
    me: Agent
    record: Record
    mandate: Mandate
    selling: bool
    round: int
    elapsed_permille: int
    own: Quote | None
    best: Quote | None
    rival: Quote | None
    dice_key: bytes

    @property
    def addressed(self) -> bool:
        """Whether somebody has spoken to this agent since it last spoke."""
        return self.record.addressed

    def dice(self, bound: int, purpose: str) -> int:
        """Returns this agent's draw in [0, bound) for one purpose in this round."""
        return draw_below(self.dice_key, bound, purpose, round_=self.round)

    def as_good(self, price: int, than: int) -> bool:
        """Tells whether a price serves this agent at least as well as another."""
        return price >= than if self.selling else price <= than

    def towards(self, price: int, step: int) -> int:
        """Returns a price moved by `step` in this agent's favour (against it when negative)."""
        return price + step if self.selling else price - step

    def within(self, price: int) -> bool:
        """Tells whether the mandate's prices allow it."""
        if not self.as_good(price, self.mandate.reservation_usdc_micros):
            return False
        maximum = self.mandate.maximum_usdc_micros
        return maximum is None or price <= maximum


def trading_ends_ms(mandate: Mandate) -> int:
    """Returns when the agent stops trading, so that a last deal can settle before the mandate expires."""
    return mandate.expires_at_ms - SETTLEMENT_MS


def elapsed_permille(room: Room, me: Agent, mandate: Mandate, round_: int) -> int:
    """Returns how much of the agent's trading time has passed, from joining to `trading_ends_ms`; 0 to 1000."""
    begun, ends = room.at_ms(me.joined_round), trading_ends_ms(mandate)
    elapsed = (room.at_ms(round_) - begun) * PERMILLE // max(1, ends - begun)
    return min(PERMILLE, max(0, elapsed))


def situation(market: Market, me: Agent, mandate: Mandate, round_: int, dice_key: bytes) -> Situation:
    """Returns what `me` knows in this round."""
    room = market.room
    own = room.quote_of.get(me.id)
    return Situation(
        market=market,
        me=me,
        record=room.records[me.id],
        mandate=mandate,
        selling=me.role is Role.SELLER,
        round=round_,
        elapsed_permille=elapsed_permille(room, me, mandate, round_),
        own=room.quotes[own] if own is not None else None,
        best=market.best_for(me, round_),
        rival=market.rival_of(me),
        dice_key=dice_key,
    )
