"""Moves that strategies share: prices within the mandate, proposals, acceptance, answers.

Three rules hold for all strategies because they stand here. What an agent has offered to all it also
takes; at the last call it takes whatever its mandate allows; and before the ramp no quote shows a limit.
"""

from __future__ import annotations

from agentrooms.domain.act import Act, Reason
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.money import TICK_USDC_MICROS, to_tick
from agentrooms.domain.room import Quote
from agentrooms.domain.terms import ActKind, Role

STEPS = 12  # a concession is about a twelfth of the way from start to limit: messages are scarce, cents are not
LEAST_PART = 6  # a standing quote gives way to one at least a sixth of a step away; less is noise in the room
RAMP_PERMILLE = 700
EARLY_MOST_PERMILLE = 900  # before the ramp no quote gives more of the way than this
LAST_CALL_PERMILLE = 960


def step_of(s: Situation) -> int:
    """Returns one ordinary concession step in micro-USDC, at least a tick."""
    gap = abs(s.mandate.reservation_usdc_micros - s.mandate.start_usdc_micros)
    return max(TICK_USDC_MICROS, to_tick(gap // STEPS))


def between(s: Situation, given_permille: int) -> int:
    """Returns the price that gives `given_permille` of the way from start to limit."""
    start, limit = s.mandate.start_usdc_micros, s.mandate.reservation_usdc_micros
    return bounded(s, start + (limit - start) * given_permille // PERMILLE)


def bounded(s: Situation, price: int) -> int:
    """Returns the whole tick within the mandate next to a price, rounded in the agent's favour."""
    limit, maximum = s.mandate.reservation_usdc_micros, s.mandate.maximum_usdc_micros
    if s.selling:
        price = max(limit, -to_tick(-price))
        return price if maximum is None else min(price, maximum)
    return max(TICK_USDC_MICROS, min(limit, to_tick(price)))


def last_price(s: Situation) -> int:
    """Returns the agent's last price, its start price before the first."""
    last = s.record.last_price_usdc_micros
    return bounded(s, s.mandate.start_usdc_micros if last is None else last)


def conceding(s: Situation, price: int) -> int:
    """Returns the price, or the last one when that gave more: going back would only confuse the other side."""
    last = last_price(s)
    return last if s.as_good(price, last) else price


def takes(s: Situation, worst: int) -> Act | None:
    """Accepts the best opposing quote when it is as good as `worst` or as the agent's own standing quote."""
    best = s.best
    if best is None or not s.within(best.price_usdc_micros):
        return None
    good = s.as_good(best.price_usdc_micros, worst)
    good = good or (s.own is not None and s.as_good(best.price_usdc_micros, s.own.price_usdc_micros))
    if not good and s.elapsed_permille < LAST_CALL_PERMILLE:
        return None
    return Act(
        agent=s.me.id,
        kind=ActKind.ACCEPT,
        reason=Reason("good_enough" if good else "last_call", {"price": best.price_usdc_micros}),
        refers_to=best.id,
        to=best.agent,
        price_usdc_micros=best.price_usdc_micros,
        token_id=_item_of(s, best),
    )


def propose(s: Situation, price: int, rule: str) -> Act | None:
    """Quotes a price: a counter to what the other side has said last, else an offer to the room.

    Returns None when about this price stands already. Nobody quotes at or beyond a quote it may take: it
    takes that instead, so no buyer pays more than the lowest ask for what it wants.
    """
    maximum = s.mandate.maximum_usdc_micros
    if maximum is not None and s.best is not None and s.best.price_usdc_micros > maximum:
        price, rule = maximum, "bid_above_maximum"  # no deal may be dearer, but whoever bids more will take that
    price = _held_back(s, bounded(s, price))
    crossing = takes(s, price)
    if crossing is not None:
        return crossing
    if s.own is None and price == s.record.last_price_usdc_micros:
        rule = "renew"
    least = max(TICK_USDC_MICROS, step_of(s) // LEAST_PART)
    if s.own is not None and abs(s.own.price_usdc_micros - price) < least:
        return None
    answered = s.best if s.best is not None and s.best.round >= s.record.last_round else None
    facts = {"price": price, "elapsed_permille": s.elapsed_permille}
    if s.best is not None:
        facts["best"] = s.best.price_usdc_micros
    if s.rival is not None:
        facts["rival"] = s.rival.price_usdc_micros
    return Act(
        agent=s.me.id,
        kind=ActKind.OFFER if answered is None else ActKind.COUNTER,
        reason=Reason(rule, facts),
        price_usdc_micros=price,
        refers_to=None if answered is None else answered.id,
        to=None if answered is None else answered.agent,
        token_id=None if s.me.item is None else s.me.item.token_id,
    )


def refuse(s: Situation, rule: str) -> Act | None:
    """Declines the quote the agent has just been countered with; never the same quote twice."""
    quote = heard(s)
    if quote is None:
        return None
    facts = {"price": quote.price_usdc_micros}
    return Act(agent=s.me.id, kind=ActKind.REJECT, reason=Reason(rule, facts), refers_to=quote.id, to=quote.agent)


def remark(s: Situation, rule: str) -> Act | None:
    """Answers whoever spoke to the agent, without a price; None when nobody present did."""
    to = s.record.addressed_by
    if not s.addressed or not s.market.room.agents[to].present:
        return None
    return Act(agent=s.me.id, kind=ActKind.COMMENT, reason=Reason(rule, {"refusals": s.record.refusals}), to=to)


def retract(s: Situation, rule: str) -> Act | None:
    """Takes the agent's own quote back."""
    if s.own is None:
        return None
    facts = {"price": s.own.price_usdc_micros}
    return Act(agent=s.me.id, kind=ActKind.WITHDRAW, reason=Reason(rule, facts), refers_to=s.own.id)


def shave(s: Situation, step: int) -> int | None:
    """Returns the price that beats the best comparable rival by `step`; None when the agent leads or cannot beat it."""
    if s.rival is None or not s.as_good(last_price(s), s.rival.price_usdc_micros):
        return None
    price = s.towards(s.rival.price_usdc_micros, -max(TICK_USDC_MICROS, to_tick(step)))
    return price if price > 0 and s.within(price) and _held_back(s, price) == price else None


def heard(s: Situation) -> Quote | None:
    """Returns the quote the agent was countered with since it last spoke, if it still stands."""
    if not s.addressed:
        return None
    room = s.market.room
    key = room.quote_of.get(s.record.addressed_by)
    quote = None if key is None else room.quotes[key]
    return quote if quote and quote.side is not s.me.role and quote.round >= s.record.addressed_round else None


def pushed(s: Situation) -> bool:
    """Tells whether the agent was refused, and not countered, since it last spoke."""
    return s.addressed and s.record.refusals_in_row > 0 and heard(s) is None


def _held_back(s: Situation, price: int) -> int:
    """Returns the price, before the ramp no closer to the limit than quotes may be by then."""
    if s.elapsed_permille >= RAMP_PERMILLE:
        return price
    most = between(s, EARLY_MOST_PERMILLE)
    return price if s.as_good(price, most) else most


def _item_of(s: Situation, quote: Quote) -> str | None:
    seller = s.me if s.me.role is Role.SELLER else s.market.room.agents[quote.agent]
    return None if seller.item is None else seller.item.token_id
