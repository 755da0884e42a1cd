"""What one agent knows when it decides: the public market, its public record and its own mandate.

`Situation` is the only input of a strategy. No field of it can hold another agent's limit: the room
it refers to has none, and its one mandate is the agent's own.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    __slots__ = ("asks", "bids", "room")

    def __init__(self, room: Room) -> None:
        self.room = room
        quotes = room.quotes.values()
        self.asks = sorted(
            (q for q in quotes if q.side is Role.SELLER), key=lambda q: (q.price_usdc_micros, q.round, q.id)
        )
        self.bids = sorted(
            (q for q in quotes if q.side is Role.BUYER), key=lambda q: (-q.price_usdc_micros, q.round, q.id)
        )

    def best_for(self, agent: Agent, round_: int) -> Quote | None:
        """Returns the best opposing quote the agent could take: on its item or its wants, not from a resting pair."""
        theirs = self.bids if agent.role is Role.SELLER else self.asks
        return next((q for q in theirs if fits(self.room, agent, q) and not rests(self.room, agent, q, round_)), None)

    def rival_of(self, agent: Agent) -> Quote | None:
        """Returns the best quote that competes with the agent's own: same side, comparable items."""
        ours = self.asks if agent.role is Role.SELLER else self.bids
        grade = self.grade_of(agent)
        return next((q for q in ours if q.agent != agent.id and q.grade == grade), None)

    def grade_of(self, agent: Agent) -> str:
        """Returns the grade the agent trades in."""
        if agent.item is not None:
            return agent.item.grade(self.room.comparable_by)
        assert agent.wants is not None
        return agent.wants.grade(self.room.comparable_by)


def fits(room: Room, agent: Agent, quote: Quote) -> bool:
    """Tells whether a quote of the other side is about what the agent sells or wants."""
    if agent.role is Role.BUYER:
        item, wants = room.agents[quote.agent].item, agent.wants
    else:
        item, wants = agent.item, room.agents[quote.agent].wants
        if quote.token_id is not None:
            return item is not None and quote.token_id == item.token_id
    return item is not None and wants is not None and wants.covers(item)


def rests(room: Room, agent: Agent, quote: Quote, round_: int) -> bool:
    """Tells whether a deal of this pair failed a short while ago."""
    pair = (agent.id, quote.agent) if agent.role is Role.BUYER else (quote.agent, agent.id)
    return room.rests.get(pair, -1) > round_


@dataclass(frozen=True, slots=True)
class Situation:
    """One agent's moment of decision. Prices in micro-USDC, `elapsed_permille` of its trading time."""

    market: Market
    me: Agent
    record: Record
    mandate: Mandate
    round: int
    elapsed_permille: int
    own: Quote | None
    best: Quote | None
    rival: Quote | None
    dice_key: bytes

    @property
    def selling(self) -> bool:
        """Whether this agent sells."""
        return self.me.role is Role.SELLER

    @property
    def addressed(self) -> bool:
        """Whether somebody has spoken to this agent since it last spoke."""
        return self.record.addressed_round > self.record.last_round

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


def situation(market: Market, me: Agent, mandate: Mandate, round_: int, dice_key: bytes) -> Situation:
    """Returns what `me` knows in this round."""
    room = market.room
    begun, ends = room.at_ms(me.joined_round), trading_ends_ms(mandate)
    elapsed = (room.at_ms(round_) - begun) * PERMILLE // max(1, ends - begun)
    own = room.quote_of.get(me.id)
    return Situation(
        market=market,
        me=me,
        record=room.records[me.id],
        mandate=mandate,
        round=round_,
        elapsed_permille=min(PERMILLE, max(0, elapsed)),
        own=room.quotes[own] if own is not None else None,
        best=market.best_for(me, round_),
        rival=market.rival_of(me),
        dice_key=dice_key,
    )
