"""Figures of market quality: how much of what could be gained was gained, at which prices, how soon.

docs/metrics.md has formula, source and a worked example of each. Sums are integers and ratios are
fractions until the end, so a figure depends on no order of addition. A figure that is not defined is
None and says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import msgspec

from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.deal import DealState
from agentrooms.domain.folding import better
from agentrooms.domain.market import fits, rests
from agentrooms.domain.room import ActPosted, Quote, Room
from agentrooms.domain.terms import ActKind, Role
from agentrooms.events.record import Recorded
from agentrooms.projections import agents as agents_
from agentrooms.projections import deals as deals_
from agentrooms.projections import mandates as mandates_
from agentrooms.projections.deals import DealRow
from agentrooms.projections.mandates import Lookup
from agentrooms.projections.schema import ROUNDS, USDC_MICROS
from agentrooms.projections.walk import Rooms, round_of

PERCENT = "percent"
SEALED = "the limits are secret: the archive has no vault"
NO_DEAL = "no deal completed"


class Figure(msgspec.Struct, frozen=True):
    """One figure: a whole number, a ratio, or None with the reason in `why_null`."""

    value: int | float | None
    unit: str = ""
    why_null: str = ""


class Buyer(msgspec.Struct, frozen=True):
    """A buyer's side of a trade: its limit in micro-USDC and what it wants."""

    limit: int
    wants: Wants


class Seller(msgspec.Struct, frozen=True):
    """A seller's side of a trade: its limit in micro-USDC and what it sells."""

    limit: int
    item: Item


class Equilibrium(msgspec.Struct, frozen=True):
    """Where demand meets supply: so many trades, at any price from `low` to `high`."""

    quantity: int
    low: int
    high: int

    @property
    def price(self) -> Fraction:
        """The middle of the range of equilibrium prices."""
        return Fraction(self.low + self.high, 2)


# --- The science, on plain numbers ------------------------------------------------------------------------


def best_matching(buyers: Sequence[Buyer], sellers: Sequence[Seller]) -> list[tuple[int, int]]:
    """Returns pairs (buyer, seller), by place, that gain the largest possible sum of limit differences.

    A pair trades only what the buyer wants; each trades once. Exact for any wants. The gain of a
    pair is a difference of two numbers of its own parties, so along an alternating path all but the
    two ends cancel: each step joins the free buyer and the free seller it can reach that gain most,
    until no step gains. This is the Hungarian method (Kuhn 1955) with successive best augmenting
    paths (Edmonds and Karp 1972), whose search the cancelling makes one sweep. Takes
    O(deals x (buyers + sellers)) steps of bit sets: under a second for 500 on each side.
    """
    takers = [_bits(i for i, b in enumerate(buyers) if b.wants.covers(s.item)) for s in sellers]
    seller_of: dict[int, int] = {}
    holder: dict[int, int] = {}  # the same, from seller to buyer
    cheapest = sorted(range(len(sellers)), key=lambda j: (sellers[j].limit, j))
    while True:
        leads = _sweep(takers, [j for j in cheapest if j not in holder], seller_of, len(buyers))
        gains = [(buyers[i].limit - sellers[end].limit, -i) for i, (_, end) in leads.items() if i not in seller_of]
        gain, place = max(gains, default=(0, 0))
        if gain <= 0:
            return sorted(seller_of.items())
        buyer: int | None = -place
        while buyer is not None:  # along the path, each seller goes over to the buyer before
            seller, _end = leads[buyer]
            released = holder.get(seller)
            holder[seller], seller_of[buyer] = buyer, seller
            buyer = released


def _sweep(takers: list[int], free: list[int], seller_of: Mapping[int, int], count: int) -> dict[int, tuple[int, int]]:
    """Returns for each buyer the seller it would take next and the cheapest free seller at that path's end."""
    leads: dict[int, tuple[int, int]] = {}
    unseen = (1 << count) - 1
    for end in free:
        waiting = [end]
        while waiting:
            seller = waiting.pop()
            fresh = takers[seller] & unseen
            unseen &= ~fresh
            while fresh:
                buyer = (fresh & -fresh).bit_length() - 1
                fresh &= fresh - 1
                leads[buyer] = (seller, end)
                if buyer in seller_of:
                    waiting.append(seller_of[buyer])
    return leads


def _bits(places: Iterable[int]) -> int:
    return sum(1 << place for place in places)


def maximum_surplus(buyers: Sequence[Buyer], sellers: Sequence[Seller]) -> int:
    """Returns the largest possible sum of limit differences, in the unit of the limits."""
    return sum(buyers[i].limit - sellers[j].limit for i, j in best_matching(buyers, sellers))


def equilibrium(values: Iterable[int], costs: Iterable[int]) -> Equilibrium | None:
    """Returns where buyers' limits (`values`) meet sellers' (`costs`); None when no two could trade.

    Of k trades among the highest values and lowest costs, the largest k whose last pair still gains.
    """
    demand, supply = sorted(values, reverse=True), sorted(costs)
    quantity = sum(1 for value, cost in zip(demand, supply, strict=False) if value >= cost)
    if not quantity:
        return None
    low = max([supply[quantity - 1], *demand[quantity : quantity + 1]])
    high = min([demand[quantity - 1], *supply[quantity : quantity + 1]])
    return Equilibrium(quantity, low, high)


def smith_alpha(prices: Sequence[int], price: Fraction | int) -> float:
    """Returns Smith's alpha in percent: the root mean square distance of prices from `price`, over `price`."""
    square = sum((p - Fraction(price)) ** 2 for p in prices) / len(prices)
    return 100 * math.sqrt(square / Fraction(price) ** 2)


def dispersion(prices: Sequence[int]) -> float:
    """Returns the coefficient of variation in percent: the standard deviation of prices over their mean."""
    return smith_alpha(prices, Fraction(sum(prices), len(prices)))


def losses(
    values: Mapping[str, int], costs: Mapping[str, int], traded: Iterable[str], price: Fraction
) -> tuple[Fraction, Fraction]:
    """Returns what was lost by trades of extra-marginal traders, and by intra-marginal ones that did not trade.

    `values` and `costs` are the limits of buyers and sellers by name, `traded` the names that
    traded, `price` an equilibrium price. A trader is intra-marginal when its limit is no worse than
    the price. Both losses together are the maximum surplus minus the realised one.
    """
    gains = {**{n: v - price for n, v in values.items()}, **{n: price - c for n, c in costs.items()}}
    names = set(traded)
    extra = sum((-gain for name, gain in gains.items() if name in names and gain < 0), Fraction(0))
    intra = sum((gain for name, gain in gains.items() if name not in names and gain > 0), Fraction(0))
    return extra, intra


# --- The figures of a run ---------------------------------------------------------------------------------


def measure(events: Sequence[Recorded], mandate_of: Lookup | None, room: str) -> dict[str, Figure]:
    """Returns the figures of one room of a log, by name, in the order of docs/metrics.md.

    Without `mandate_of` (a sealed archive) those that need the agents' limits are None.
    """
    rooms = Rooms()
    for number, recorded in enumerate(events, start=1):
        rooms.apply(number, recorded)
    state = rooms.get(room)
    deals = [deal for deal in deals_.rows(events) if deal.room == room]
    limits = _limits(events, mandate_of)
    return {**_trades(events, deals, room), **_prices(deals, state), **_surplus(state, deals, limits)}


def _limits(events: Sequence[Recorded], mandate_of: Lookup | None) -> dict[str, int] | None:
    """Returns each agent's limit: of the mandate it traded under, else of its last."""
    if mandate_of is None:
        return None
    rows = mandates_.rows(mandate_of, events)
    last = {row.agent: row.limit_usdc_micros for row in rows}
    return last | {row.agent: row.limit_usdc_micros for row in rows if row.price_usdc_micros is not None}


def _trades(events: Sequence[Recorded], deals: Sequence[DealRow], room: str) -> dict[str, Figure]:
    agents = [agent for agent in agents_.rows(events) if agent.room == room]
    done = [deal for deal in deals if deal.state is DealState.COMPLETED]
    sides = [sum(agent.role is role for agent in agents) for role in Role]
    left = [agent for agent in agents if agent.left_round is not None]
    messages = sum(agent.messages for agent in agents)
    accepts, worse = _accepts(events, room)
    return {
        "agents": Figure(len(agents), "agents"),
        "messages": Figure(messages, "messages"),
        "deals": Figure(len(done), "deals"),
        "failed_deals": Figure(sum(deal.state is DealState.FAILED for deal in deals), "deals"),
        "deal_rate_percent": _percent(len(done), min(sides), "one side of the market is empty"),
        "left_without_deal_percent": _percent(
            sum(agent.deal is None for agent in left), len(left), "no agent has left"
        ),
        "messages_per_agent": _ratio(messages, len(agents), "messages", "no agent joined"),
        "messages_per_deal": _ratio(messages, len(done), "messages", NO_DEAL),
        "rounds_to_lock": _ratio(sum(deal.rounds_to_lock for deal in done), len(done), ROUNDS, NO_DEAL),
        "not_best_accepts_percent": _percent(worse, accepts, "no quote was accepted"),
    }


def _prices(deals: Sequence[DealRow], room: Room) -> dict[str, Figure]:
    done = [deal for deal in deals if deal.state is DealState.COMPLETED]
    base = [deal.price_usdc_micros for deal in done if deal.grade == room.base_grade]
    over = [
        (deal.price_over_floor_usdc_micros, deal.floor_usdc_micros)
        for deal in done
        if deal.price_over_floor_usdc_micros is not None and deal.floor_usdc_micros is not None
    ]
    no_floor = NO_DEAL if not done else "no ask stood when a completed deal was locked"
    no_base = "no deal in the base grade completed"
    share = sum((Fraction(100 * above, floor) for above, floor in over), Fraction(0))
    return {
        "mean_price_usdc_micros": _money(sum(base), len(base), no_base),
        "price_dispersion_percent": Figure(dispersion(base), PERCENT) if base else Figure(None, PERCENT, no_base),
        "price_over_floor_usdc_micros": _money(sum(above for above, _ in over), len(over), no_floor),
        "price_over_floor_percent": _ratio(share, len(over), PERCENT, no_floor),
    }


def _surplus(room: Room, deals: Sequence[DealRow], limits: Mapping[str, int] | None) -> dict[str, Figure]:
    if limits is None:
        units = {"equilibrium_quantity": "deals"} | dict.fromkeys(_MONEY, USDC_MICROS)
        return {name: Figure(None, units.get(name, PERCENT), SEALED) for name in _NEED_LIMITS}
    done = [deal for deal in deals if deal.state is DealState.COMPLETED]
    realised = sum(limits[deal.buyer] - limits[deal.seller] for deal in done)
    buyers = {a.id: Buyer(limits[a.id], a.wants) for a in room.agents.values() if a.wants is not None}
    sellers = {a.id: Seller(limits[a.id], a.item) for a in room.agents.values() if a.item is not None}
    most = maximum_surplus(list(buyers.values()), list(sellers.values()))
    return {
        "surplus_usdc_micros": Figure(realised, USDC_MICROS),
        "maximum_surplus_usdc_micros": Figure(most, USDC_MICROS),
        "allocative_efficiency_percent": _percent(realised, most, "no two agents could gain by trading"),
        **_base_grade(room, done, buyers, sellers),
    }


def _base_grade(
    room: Room, done: Sequence[DealRow], buyers: Mapping[str, Buyer], sellers: Mapping[str, Seller]
) -> dict[str, Figure]:
    """Returns the figures that compare with the competitive equilibrium of the base grade."""
    grade = room.base_grade
    costs = {name: s.limit for name, s in sellers.items() if s.item.grade(room.comparable_by) == grade}
    items = [sellers[name].item for name in costs]
    values = {name: b.limit for name, b in buyers.items() if any(map(b.wants.covers, items))}
    traded = [deal for deal in done if deal.grade == grade]
    meeting = equilibrium(values.values(), costs.values())
    if meeting is None:
        why = "demand and supply of the base grade do not meet"
        quantity = {"equilibrium_quantity": Figure(0, "deals")}
        return quantity | {
            name: Figure(None, USDC_MICROS if name in _MONEY else PERCENT, why) for name in _NEED_LIMITS[4:]
        }
    prices = [deal.price_usdc_micros for deal in traded]
    extra, intra = losses(values, costs, [n for d in traded for n in (d.buyer, d.seller)], meeting.price)
    gains = [v - meeting.price for v in values.values()] + [meeting.price - c for c in costs.values()]
    most = sum((gain for gain in gains if gain > 0), Fraction(0))
    flat = "at the equilibrium price nobody gains"
    no_base = "no deal in the base grade completed"
    return {
        "equilibrium_quantity": Figure(meeting.quantity, "deals"),
        "equilibrium_price_usdc_micros": Figure(round(meeting.price), USDC_MICROS),
        "smith_alpha_percent": Figure(smith_alpha(prices, meeting.price), PERCENT)
        if prices
        else Figure(None, PERCENT, no_base),
        "volume_share_percent": _percent(len(traded), meeting.quantity, ""),
        "extra_marginal_loss_percent": _percent(extra, most, flat),
        "intra_marginal_loss_percent": _percent(intra, most, flat),
    }


_NEED_LIMITS = (
    "surplus_usdc_micros",
    "maximum_surplus_usdc_micros",
    "allocative_efficiency_percent",
    "equilibrium_quantity",
    "equilibrium_price_usdc_micros",
    "smith_alpha_percent",
    "volume_share_percent",
    "extra_marginal_loss_percent",
    "intra_marginal_loss_percent",
)
_MONEY = ("surplus_usdc_micros", "maximum_surplus_usdc_micros", "equilibrium_price_usdc_micros")


def _accepts(events: Sequence[Recorded], chain: str) -> tuple[int, int]:
    """Returns how many accepts there were, and how many took a worse price than the best their agent had seen."""
    rooms = Rooms()
    seen: Sequence[Quote] = ()
    round_, accepts, worse = -1, 0, 0
    for number, recorded in enumerate(events, start=1):
        if recorded.chain != chain:
            continue
        event, room = recorded.event, rooms.get(chain)
        if round_of(event) != round_:  # agents decide on the room as the round before left it
            round_, seen = round_of(event), list(room.quotes.values())
        if isinstance(event, ActPosted) and event.act is ActKind.ACCEPT:
            accepts += 1
            worse += _is_worse(room, event, seen)
        rooms.apply(number, recorded)
    return accepts, worse


def _is_worse(room: Room, accept: ActPosted, seen: Sequence[Quote]) -> bool:
    agent, price = room.agents[accept.agent], accept.price_usdc_micros
    assert price is not None
    return any(
        better(quote.side, quote.price_usdc_micros, price)
        for quote in seen
        if quote.side is not agent.role and fits(room, agent, quote) and not rests(room, agent, quote, accept.round)
    )


def _ratio(part: int | Fraction, whole: int, unit: str, why_null: str) -> Figure:
    return Figure(float(Fraction(part) / whole), unit) if whole else Figure(None, unit, why_null)


def _percent(part: int | Fraction, whole: int | Fraction, why_null: str) -> Figure:
    return Figure(float(100 * Fraction(part) / whole), PERCENT) if whole else Figure(None, PERCENT, why_null)


def _money(total: int, count: int, why_null: str) -> Figure:
    """Returns a mean amount, to the nearest micro-USDC, halves to even."""
    return Figure(round(Fraction(total, count)), USDC_MICROS) if count else Figure(None, USDC_MICROS, why_null)
