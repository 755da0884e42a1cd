"""Random rooms: real events in any order, with every kind of act, so that strategies meet what rooms can hold."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.market import Market, Situation, situation
from agentrooms.domain.money import TICK_USDC_MICROS, USDC_MICROS
from agentrooms.domain.room import Room
from agentrooms.domain.terms import ActKind, Role, StrategyName
from tests.strategies.build import COMMON, ME, RARE, ROUNDS, Said, mandate_of, room_of, spawned, talk, wants_traits

CHEAPEST, DEAREST = 50, 250  # USDC; others quote within, so quotes lie on both sides of all limits
LINES_MAX = 25
WANTS = (None, wants_traits(COMMON), wants_traits(RARE))


@dataclass(frozen=True)
class Moment:
    """A room in which any of its agents may be asked to decide."""

    room: Room
    mandate: Mandate
    round: int
    dice: bytes

    def situation(self) -> Situation:
        return situation(Market(self.room), self.room.agents[ME], self.mandate, self.round, self.dice)


@st.composite
def moments(draw: st.DrawFn, *, earliest: int = 0) -> Moment:
    """A room after up to `LINES_MAX` acts of `me` and others, as `me` (any strategy and role) sees it.

    The round is at least `earliest`, and so is the share of its time that has passed, in permille.
    """
    me = spawned(
        ME,
        draw(st.sampled_from(Role)),
        strategy=draw(st.sampled_from(StrategyName)),
        grade=draw(st.sampled_from((COMMON, RARE))),
        wants=draw(st.sampled_from(WANTS)),
    )
    others = [_other(draw, name) for name in ("b1", "b2", "s1", "s2", "s3")]
    mandate = draw(mandates(me))
    room = room_of([me, *others])
    round_ = 0
    for _ in range(draw(st.integers(0, LINES_MAX))):
        round_ += draw(st.integers(1, ROUNDS // LINES_MAX))
        line = draw(_lines(room, round_, mandate))
        if line is not None:
            room = talk(room, [line])
    at = draw(st.integers(max(earliest, round_ + 1), ROUNDS + 5))
    return Moment(room, mandate, at, seed_bytes(draw(st.integers(0, 2**32))))


@st.composite
def mandates(draw: st.DrawFn, spawn: AgentSpawned) -> Mandate:
    """A mandate from nothing between start and limit to all of the price range, in whole ticks."""
    ticks = st.integers(CHEAPEST * USDC_MICROS // TICK_USDC_MICROS, DEAREST * USDC_MICROS // TICK_USDC_MICROS)
    low, high, top = sorted(draw(st.tuples(ticks, ticks, ticks)))
    start, limit = (low, high) if spawn.role is Role.BUYER else (high, low)
    tick = TICK_USDC_MICROS
    return mandate_of(spawn, start=start * tick, limit=limit * tick, maximum=top * tick)


def _other(draw: st.DrawFn, name: str) -> AgentSpawned:
    role = Role.BUYER if name.startswith("b") else Role.SELLER
    return spawned(name, role, grade=draw(st.sampled_from((COMMON, RARE))), wants=draw(st.sampled_from(WANTS)))


@st.composite
def _lines(draw: st.DrawFn, room: Room, round_: int, mandate: Mandate) -> Said | None:
    """One act somebody could have done now; None when the drawn kind is impossible. `me` stays in its mandate."""
    agent = draw(st.sampled_from(sorted(room.agents)))
    kind = draw(st.sampled_from((ActKind.OFFER, ActKind.OFFER, *ActKind)))
    price = draw(st.integers(CHEAPEST, DEAREST))
    if agent == ME:
        price = _allowed(mandate, price)
    opposing = [q.agent for q in room.quotes.values() if q.side is not room.agents[agent].role]
    match kind:
        case ActKind.OFFER:
            return Said(round_, agent, kind, price) if price else None
        case ActKind.COUNTER | ActKind.REJECT if opposing:
            answered = draw(st.sampled_from(sorted(opposing)))
            if kind is ActKind.REJECT:
                return Said(round_, agent, kind, None, answered)
            return Said(round_, agent, kind, price, answered) if price else None
        case ActKind.COMMENT:
            to = draw(st.sampled_from(sorted(set(room.agents) - {agent})))
            return Said(round_, agent, kind, None, None, to)
        case ActKind.WITHDRAW if agent in room.quote_of:
            return Said(round_, agent, kind)
        case _:
            return None


def _allowed(mandate: Mandate, price: int) -> int:
    """The price if the mandate allows it, else 0."""
    low, high = mandate.reservation_usdc_micros, mandate.maximum_usdc_micros or 0
    if mandate.role is Role.BUYER:
        low, high = 0, low
    return price if low <= price * USDC_MICROS <= high else 0
