"""How every agent decides, whatever its strategy: when it may speak, when it leaves, what it must never do."""

from __future__ import annotations

from agentrooms.domain.act import Act, Reason
from agentrooms.domain.agent import Agent
from agentrooms.domain.ids import draw_below
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.market import PERMILLE, Market, Situation, elapsed_permille, situation, trading_ends_ms
from agentrooms.domain.record import MESSAGES_A_MINUTE, MINUTE_MS, may_speak
from agentrooms.domain.room import Room
from agentrooms.domain.strategies import STRATEGIES
from agentrooms.domain.terms import ActKind
from agentrooms.errors import AgentroomsError

HOPELESS_PERMILLE = 700  # from here an agent may give up on a market far beyond its limit
HOPELESS_GAP_PERMILLE = 400
HURRY_PERMILLE = 900  # from here agents look up twice as often
RESERVED_MESSAGES = 1  # of those a minute allows, kept for an accept
PRICED = frozenset({ActKind.OFFER, ActKind.COUNTER, ActKind.ACCEPT})


class OutsideMandate(AgentroomsError):
    """A strategy decided on a price that its mandate does not allow: an error of the program, never of a person."""


def decide(market: Market, me: Agent, mandate: Mandate, round_: int, dice_key: bytes) -> Act | None:
    """Returns the agent's act of this round, None for silence. Changes nothing. Raises OutsideMandate."""
    room = market.room
    record = room.records[me.id]
    if _is_over(room, me, mandate, round_):
        return Act(agent=me.id, kind=ActKind.LEAVE, reason=Reason("mandate_ends"))
    if (
        not me.may_act
        or not _awake(room, me, mandate, round_, dice_key)
        or not may_speak(record, round_, room.round_ms)
    ):
        return None
    s = situation(market, me, mandate, round_, dice_key)
    if s.own is not None and s.best is None and s.elapsed_permille < HURRY_PERMILLE and not market.has_counterpart(me):
        return None  # one quote stays up for whoever may come; outbidding rivals would be idle
    if _is_hopeless(s):
        gap = {"best": s.best.price_usdc_micros} if s.best else {}
        return Act(agent=me.id, kind=ActKind.LEAVE, reason=Reason("market_out_of_reach", gap))
    return _decide(s)


def _decide(s: Situation) -> Act | None:
    """Asks the strategy, and holds its act against the mandate and the message rate."""
    act = STRATEGIES[s.me.strategy].decide(s)
    if act is None or (act.kind is not ActKind.ACCEPT and _is_talkative(s)):
        return None
    if act.kind in PRICED and (act.price_usdc_micros is None or not s.within(act.price_usdc_micros)):
        raise OutsideMandate(f"strategy {s.me.strategy} of agent {s.me.id} left its mandate")
    return act


def _is_over(room: Room, me: Agent, mandate: Mandate, round_: int) -> bool:
    free = me.present and me.deal is None
    return free and room.at_ms(round_) >= trading_ends_ms(mandate)


def _awake(room: Room, me: Agent, mandate: Mandate, round_: int, dice_key: bytes) -> bool:
    """Tells whether the agent looks up in this round: after its pace, sooner when spoken to or late, jittered."""
    record = room.records[me.id]
    pace = STRATEGIES[me.strategy].pace_rounds
    quick = (pace + 1) // 2
    since = round_ - (record.last_round if record.last_round >= 0 else me.joined_round)
    if since < quick:
        return False
    if record.addressed or elapsed_permille(room, me, mandate, round_) >= HURRY_PERMILLE:
        pace = quick
    if since < pace:
        return False
    return since >= 2 * pace or since >= pace + draw_below(dice_key, pace, "jitter", round_=record.last_round)


def _is_talkative(s: Situation) -> bool:
    """Tells whether the agent has only its reserve of messages left in this minute."""
    spent = MESSAGES_A_MINUTE - RESERVED_MESSAGES
    recent = s.record.recent_rounds
    return len(recent) >= spent and (s.round - recent[-spent]) * s.market.room.round_ms < MINUTE_MS


def _is_hopeless(s: Situation) -> bool:
    """Tells whether the best price is so far beyond the limit, so late, that staying is pointless."""
    if s.best is None or s.elapsed_permille < HOPELESS_PERMILLE:
        return False
    limit = s.mandate.reservation_usdc_micros
    beyond = limit - s.best.price_usdc_micros if s.selling else s.best.price_usdc_micros - limit
    return beyond * PERMILLE > limit * HOPELESS_GAP_PERMILLE and s.dice(4, "give_up") == 0
