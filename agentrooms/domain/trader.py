"""How every agent decides, whatever its strategy: when it may speak, when it leaves, what it must never do."""

from __future__ import annotations

from agentrooms.domain.act import Act, Reason
from agentrooms.domain.agent import Agent
from agentrooms.domain.ids import draw_below
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.market import Market, Situation, situation, trading_ends_ms
from agentrooms.domain.record import Record, may_speak
from agentrooms.domain.room import Room
from agentrooms.domain.strategies import STRATEGIES
from agentrooms.domain.terms import ActKind

HOPELESS_PERMILLE = 700  # from here an agent may give up on a market far beyond its limit
HOPELESS_GAP_PERMILLE = 400
PRICED = frozenset({ActKind.OFFER, ActKind.COUNTER, ActKind.ACCEPT})


def decide(market: Market, me: Agent, mandate: Mandate, round_: int, dice_key: bytes) -> Act | None:
    """Returns the agent's act of this round, None for silence. Changes nothing."""
    room = market.room
    record = room.records[me.id]
    if _is_over(room, me, mandate, round_):
        return Act(agent=me.id, kind=ActKind.LEAVE, reason=Reason("mandate_ends"))
    if not me.may_act or not _awake(me, record, round_, dice_key) or not may_speak(record, round_, room.round_ms):
        return None
    s = situation(market, me, mandate, round_, dice_key)
    if _is_hopeless(s):
        gap = {"best": s.best.price_usdc_micros} if s.best else {}
        return Act(agent=me.id, kind=ActKind.LEAVE, reason=Reason("market_out_of_reach", gap))
    act = STRATEGIES[me.strategy].decide(s)
    if act is not None and act.kind in PRICED:
        assert act.price_usdc_micros is not None
        assert s.within(act.price_usdc_micros), f"{me.strategy} left its mandate"
    return act


def _is_over(room: Room, me: Agent, mandate: Mandate, round_: int) -> bool:
    free = me.present and me.deal is None
    return free and room.at_ms(round_) >= trading_ends_ms(mandate)


def _awake(me: Agent, record: Record, round_: int, dice_key: bytes) -> bool:
    """Tells whether the agent looks up in this round: after its pace, sooner when spoken to, jittered."""
    pace = STRATEGIES[me.strategy].pace_rounds
    since = round_ - (record.last_round if record.last_round >= 0 else me.joined_round)
    if record.addressed_round > record.last_round:
        pace = (pace + 1) // 2
    if since < pace:
        return False
    return since >= pace + draw_below(dice_key, pace, "jitter", round_=record.last_round)


def _is_hopeless(s: Situation) -> bool:
    """Tells whether the best price is so far beyond the limit, so late, that staying is pointless."""
    if s.best is None or s.elapsed_permille < HOPELESS_PERMILLE:
        return False
    limit = s.mandate.reservation_usdc_micros
    beyond = limit - s.best.price_usdc_micros if s.selling else s.best.price_usdc_micros - limit
    return beyond * 1000 > limit * HOPELESS_GAP_PERMILLE and s.dice(4, "give_up") == 0
