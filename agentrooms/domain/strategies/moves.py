"""Moves that strategies share: concession curves, proposals within the mandate, acceptance, answers.

The curves are Faratin et al.'s time-dependent tactics, price(t) = start + (limit - start) * t**(1/beta),
in integers: beta below 1 holds out (Boulware), 1 is linear, above 1 yields early (conceder).
"""

from __future__ import annotations

from agentrooms.domain.act import Act, Reason
from agentrooms.domain.market import PERMILLE, Situation
from agentrooms.domain.money import TICK_USDC_MICROS, to_tick
from agentrooms.domain.room import Quote
from agentrooms.domain.terms import ActKind, Role

STEPS = 12  # a concession is about a twelfth of the way from start to limit: messages are scarce, cents are not


def boulware(elapsed_permille: int, power: int) -> int:
    """Returns t**power in permille: little is given until late."""
    return elapsed_permille**power // PERMILLE ** (power - 1)


def conceder(elapsed_permille: int) -> int:
    """Returns t**(1/3) in permille: much is given early."""
    return _CUBE_ROOTS[elapsed_permille]


def _cube_roots() -> tuple[int, ...]:
    """Returns for each permille t the largest r whose cube is at most t, both as parts of one."""
    roots, root = [], 0
    for t in range(PERMILLE + 1):
        while (root + 1) ** 3 <= t * PERMILLE**2:
            root += 1
        roots.append(root)
    return tuple(roots)


_CUBE_ROOTS = _cube_roots()


def step_of(s: Situation) -> int:
    """Returns one ordinary concession step in micro-USDC, at least a tick."""
    gap = abs(s.mandate.reservation_usdc_micros - s.mandate.start_usdc_micros)
    return max(TICK_USDC_MICROS, to_tick(gap // STEPS))


def between(s: Situation, given_permille: int) -> int:
    """Returns the price that gives `given_permille` of the way from start to limit."""
    start, limit = s.mandate.start_usdc_micros, s.mandate.reservation_usdc_micros
    return bounded(s, start + (limit - start) * given_permille // PERMILLE)


def bounded(s: Situation, price: int) -> int:
    """Returns the nearest whole tick within the mandate."""
    limit, maximum = s.mandate.reservation_usdc_micros, s.mandate.maximum_usdc_micros
    if s.selling:
        price = max(limit, -to_tick(-price) if price % TICK_USDC_MICROS else price)
        return price if maximum is None else min(price, maximum)
    return max(TICK_USDC_MICROS, min(limit, to_tick(price)))


def last_price(s: Situation) -> int:
    """Returns the agent's last price, its start price before the first."""
    last = s.record.last_price_usdc_micros
    return bounded(s, s.mandate.start_usdc_micros if last is None else last)


def takes(s: Situation, worst: int) -> Act | None:
    """Accepts the best opposing quote when it is at least as good as `worst` and within the mandate."""
    best = s.best
    if best is None or not s.within(best.price_usdc_micros) or not s.as_good(best.price_usdc_micros, worst):
        return None
    facts = {"price": best.price_usdc_micros}
    return Act(
        agent=s.me.id,
        kind=ActKind.ACCEPT,
        reason=Reason("quote_at_least_next_price", facts),
        refers_to=best.id,
        to=best.agent,
        price_usdc_micros=best.price_usdc_micros,
        token_id=_item_of(s, best),
    )


def propose(s: Situation, price: int, rule: str) -> Act | None:
    """Quotes a price: a counter to the best opposing quote, else an offer. None when it already stands.

    A buyer never bids at or above a standing ask it may take: it takes the ask instead.
    """
    price = bounded(s, price)
    crossing = takes(s, price)
    if crossing is not None:
        return crossing
    if s.own is not None and s.own.price_usdc_micros == price:
        return None
    best = s.best
    facts = {"price": price, "elapsed_permille": s.elapsed_permille}
    if best is not None:
        facts["answers"] = best.price_usdc_micros
    return Act(
        agent=s.me.id,
        kind=ActKind.COUNTER if best is not None else ActKind.OFFER,
        reason=Reason(rule, facts),
        price_usdc_micros=price,
        refers_to=best.id if best is not None else None,
        to=best.agent if best is not None else None,
        token_id=s.me.item.token_id if s.me.item is not None else None,
    )


def refuse(s: Situation, rule: str) -> Act | None:
    """Declines the quote of whoever spoke to the agent last, if it still stands."""
    quote = _speaker_quote(s)
    if quote is None:
        return None
    facts = {"price": quote.price_usdc_micros}
    return Act(agent=s.me.id, kind=ActKind.REJECT, reason=Reason(rule, facts), refers_to=quote.id, to=quote.agent)


def remark(s: Situation, rule: str) -> Act:
    """Says something without a price, to whoever spoke to the agent last, else to the room."""
    to = s.record.addressed_by if s.addressed else None
    if to is not None and not s.market.room.agents[to].present:
        to = None
    return Act(agent=s.me.id, kind=ActKind.COMMENT, reason=Reason(rule, {"refusals": s.record.refusals}), to=to)


def retract(s: Situation, rule: str) -> Act | None:
    """Takes the agent's own quote back."""
    if s.own is None:
        return None
    facts = {"price": s.own.price_usdc_micros}
    return Act(agent=s.me.id, kind=ActKind.WITHDRAW, reason=Reason(rule, facts), refers_to=s.own.id)


def shave(s: Situation, step: int) -> int | None:
    """Returns the price that beats the best comparable rival by `step`; None without a rival that is ahead."""
    if s.rival is None or not s.as_good(last_price(s), s.rival.price_usdc_micros):
        return None
    return s.towards(s.rival.price_usdc_micros, -step)


def _speaker_quote(s: Situation) -> Quote | None:
    if not s.addressed:
        return None
    room = s.market.room
    quote = room.quote_of.get(s.record.addressed_by)
    if quote is None or room.quotes[quote].side is s.me.role:
        return None
    return room.quotes[quote]


def _item_of(s: Situation, quote: Quote) -> str | None:
    seller = s.me if s.me.role is Role.SELLER else s.market.room.agents[quote.agent]
    return seller.item.token_id if seller.item is not None else None
