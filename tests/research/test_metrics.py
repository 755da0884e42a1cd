"""The figures against their definitions, computed another way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms import Run
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.projections.example import ROOM, example_log
from agentrooms.sim.metrics import (
    Buyer,
    Equilibrium,
    Seller,
    best_matching,
    dispersion,
    equilibrium,
    losses,
    maximum_surplus,
    measure,
    smith_alpha,
)

LIMITS = st.integers(1, 12)  # few values, so that ties and equal gains are common


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Buyer], list[Seller]]:
    """Return a small market of any wants."""
    sellers = [Seller(draw(LIMITS), Item(str(n), "", {})) for n in range(draw(st.integers(0, 5)))]
    tokens = st.sets(st.sampled_from([str(n) for n in range(6)]), max_size=4)
    wants = st.one_of(st.just(Wants()), tokens.map(lambda ids: Wants(WantKind.ITEMS, tuple(sorted(ids)))))
    return [Buyer(draw(LIMITS), draw(wants)) for _ in range(draw(st.integers(0, 5)))], sellers


def brute_force(buyers: Sequence[Buyer], sellers: Sequence[Seller]) -> int:
    """Return the largest surplus by trying every way to pair."""
    if not buyers:
        return 0
    first, rest = buyers[0], buyers[1:]
    alone = brute_force(rest, sellers)
    paired = (
        first.limit - seller.limit + brute_force(rest, [*sellers[:n], *sellers[n + 1 :]])
        for n, seller in enumerate(sellers)
        if first.wants.covers(seller.item)
    )
    return max([alone, *paired])


@given(markets())
def test_the_matching_is_the_best(market: tuple[list[Buyer], list[Seller]]) -> None:
    """As good as the best of all, and one that could be: wanted items, each agent once, no pair at a loss."""
    buyers, sellers = market
    pairs = best_matching(buyers, sellers)
    assert maximum_surplus(buyers, sellers) == brute_force(buyers, sellers)
    assert all(buyers[i].wants.covers(sellers[j].item) for i, j in pairs)
    assert all(buyers[i].limit >= sellers[j].limit for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_the_matching_takes_long_detours() -> None:
    """A chain of buyers, each wanting two neighbours, shifts as a whole when the last seller joins."""
    size = 200
    sellers = [Seller(1, Item(str(n), "", {})) for n in range(size)]
    chain = [Buyer(10, Wants(WantKind.ITEMS, (str(n), str(n + 1)))) for n in range(size - 1)]
    late = Buyer(5, Wants(WantKind.ITEMS, ("0",)))
    assert maximum_surplus([*chain, late], sellers) == 9 * (size - 1) + 4


@given(st.lists(LIMITS, max_size=6), st.lists(LIMITS, max_size=6))
def test_the_equilibrium_clears_the_market(values: list[int], costs: list[int]) -> None:
    """At each of its prices as many want to sell as to buy, those at the margin left free; elsewhere not."""
    found = equilibrium(values, costs)
    if found is None:
        assert max(values, default=0) < min(costs, default=99)
        return
    for price in range(14):
        demand = sum(v > price for v in values), sum(v >= price for v in values)
        supply = sum(c < price for c in costs), sum(c <= price for c in costs)
        clears = max(demand[0], supply[0]) <= min(demand[1], supply[1])
        assert clears == (found.low <= price <= found.high)
        if clears:
            assert max(demand[0], supply[0]) <= found.quantity <= min(demand[1], supply[1])


@given(st.lists(LIMITS, max_size=5), st.lists(LIMITS, max_size=5), st.data())
def test_losses_are_what_is_missing(values: list[int], costs: list[int], data: st.DataObject) -> None:
    """Realised surplus and both losses add up to the maximum, whoever traded."""
    found = equilibrium(values, costs)
    if found is None:
        return
    buyers = {f"b{n}": v for n, v in enumerate(values)}
    sellers = {f"s{n}": c for n, c in enumerate(costs)}
    trades = data.draw(st.integers(0, min(len(values), len(costs))))
    buying = data.draw(st.permutations(list(buyers)))[:trades]
    selling = data.draw(st.permutations(list(sellers)))[:trades]
    realised = sum(buyers[b] for b in buying) - sum(sellers[s] for s in selling)
    most = brute_force(
        [Buyer(v, Wants()) for v in values], [Seller(c, Item(str(n), "", {})) for n, c in enumerate(costs)]
    )
    extra, intra = losses(buyers, sellers, [*buying, *selling], found.price)
    assert extra >= 0 <= intra
    assert realised + extra + intra == most


def test_alpha_and_dispersion_are_root_mean_squares() -> None:
    prices = [90, 100, 110, 104]
    assert smith_alpha(prices, 100) == pytest.approx(math.sqrt((100 + 0 + 100 + 16) / 4))
    assert dispersion(prices) == pytest.approx(100 * math.sqrt((121 + 1 + 81 + 9) / 4) / 101)
    assert smith_alpha([7, 7], Fraction(7)) == dispersion([7]) == 0.0


def test_figures_keep_within_their_bounds(run: Run) -> None:
    figures = run.metrics()
    for name in ("allocative_efficiency", "left_without_deal", "not_best_accepts", "deal_rate"):
        value = figures[f"{name}_percent"]
        assert value is None or 0 <= value <= 100, name
    assert all(value is None or value >= 0 for name, value in figures.items() if "price_over_floor" not in name)


def test_figures_agree_with_the_tables(run: Run) -> None:
    figures, deals, agents = run.metrics(), run.deals(), run.agents()
    done = deals.filter(state="completed")
    assert figures["deals"] == done.height
    assert figures["failed_deals"] == deals.filter(state="failed").height
    assert figures["messages"] == run.messages().height == agents["messages"].sum()
    assert figures["surplus_usdc_micros"] == run.mandates()["surplus_usdc_micros"].sum()
    rounds = done["rounds_to_lock"].to_list()
    assert figures["rounds_to_lock"] == (sum(rounds) / len(rounds) if rounds else None)
    over = done["price_over_floor_usdc_micros"].drop_nulls().to_list()
    assert figures["price_over_floor_usdc_micros"] == (round(Fraction(sum(over), len(over))) if over else None)


def test_the_equilibrium_price_is_the_middle_of_the_range() -> None:
    assert Equilibrium(1, 3, 6).price == Fraction(9, 2)


def test_an_empty_market_has_reasons_instead_of_figures() -> None:
    """Nothing is divided by zero, and every null says why."""
    log, mandates = example_log()
    for length in (1, 2, 7, 9, 16):
        figures = measure(log[:length], mandates, ROOM)
        assert all((figure.value is None) == bool(figure.why_null) for figure in figures.values())
    assert (
        list(measure(log[:1], mandates, ROOM)) == list(measure(log, mandates, ROOM)) == list(measure(log, None, ROOM))
    )


def test_a_market_without_sellers_has_no_equilibrium() -> None:
    log, mandates = example_log()
    figures = measure(log[:4], mandates, ROOM)  # three buyers have joined
    assert (figures["agents"].value, figures["equilibrium_quantity"].value) == (3, 0)
    assert figures["smith_alpha_percent"].why_null == "demand and supply of the base grade do not meet"
    assert figures["deal_rate_percent"].why_null == "one side of the market is empty"
