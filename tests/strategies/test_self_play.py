"""Strategies against each other, with the trader's pace, rate and patience around them. Asserted loosely."""

from __future__ import annotations

from functools import cache
from itertools import product
from statistics import mean

import pytest

from agentrooms.domain.terms import ActKind, StrategyName
from tests.strategies.build import usdc
from tests.strategies.play import Trader, play

SEEDS = range(20)
LOW, HIGH = 80, 160  # both start at one end and stop at the other: all prices between suit both
PAIRS = list(product(StrategyName, StrategyName))


@cache
def buyer_shares(buying: StrategyName, selling: StrategyName) -> tuple[float, ...]:
    """The buyer's share of the zone of agreement in each deal made over the seeds."""
    pair = [Trader("b1", buying, LOW, HIGH), Trader("s1", selling, HIGH, LOW)]
    prices = [deal.price for seed in SEEDS for deal in play(pair, seed)[0]]
    return tuple((usdc(HIGH) - price) / (usdc(HIGH) - usdc(LOW)) for price in prices)


@pytest.mark.parametrize(("buying", "selling"), PAIRS, ids=[f"{b.value}-{s.value}" for b, s in PAIRS])
def test_a_wide_zone_of_agreement_mostly_ends_in_a_deal(buying: StrategyName, selling: StrategyName) -> None:
    shares = buyer_shares(buying, selling)
    print(f"{buying} buys from {selling}: {len(shares)} deals in {len(SEEDS)}, share {mean(shares or [0]):.2f}")
    assert len(shares) >= 16
    assert all(0 <= share <= 1 for share in shares)


def test_holding_out_earns_more_than_yielding() -> None:
    patient, aggressive = StrategyName.PATIENT, StrategyName.AGGRESSIVE
    assert mean(buyer_shares(patient, aggressive)) > 0.5 > mean(buyer_shares(aggressive, patient))


def test_no_deal_where_no_price_suits_both() -> None:
    for buying, selling in PAIRS:
        agreed, _acts = play([Trader("b1", buying, 50, 90), Trader("s1", selling, 150, 100)], seed=1)
        assert agreed == []


def crowd(strategy: StrategyName | None, seed: int) -> list[Trader]:
    """Four buyers and four sellers; of each strategy in turn when none is named."""
    names = list(StrategyName)
    return [
        Trader(f"{side}{n}", strategy or names[(n + seed) % len(names)], start, limit)
        for side, start, limit in (("b", LOW, HIGH), ("s", HIGH, LOW))
        for n in range(4)
    ]


@pytest.mark.parametrize("strategy", StrategyName)
def test_a_room_of_one_strategy_trades(strategy: StrategyName) -> None:
    deals = [len(play(crowd(strategy, seed), seed)[0]) for seed in range(6)]
    assert min(deals) >= 3


def test_a_mixed_room_talks_sense() -> None:
    """Nobody refuses or counters one quote twice, exceeds the rate, or goes back without a rule that says so."""
    for seed in range(6):
        agreed, acts = play(crowd(None, seed), seed)
        assert len(agreed) >= 3
        for kind in (ActKind.REJECT, ActKind.COUNTER):
            answered = [(a.agent, a.refers_to) for _round, a in acts if a.kind is kind]
            assert len(answered) == len(set(answered))
        last: dict[str, int] = {}
        for _round, act in acts:
            price = act.price_usdc_micros
            if act.kind in {ActKind.OFFER, ActKind.COUNTER} and price is not None:
                before = last.get(act.agent, price)
                gave = price - before if act.agent.startswith("b") else before - price
                assert gave >= 0 or act.reason.rule in {"demand_is_high", "bid_above_maximum"}
                last[act.agent] = price


def test_agents_that_agreed_or_left_are_silent() -> None:
    agreed, acts = play(crowd(None, 3), 3)
    gone = {party: deal.round for deal in agreed for party in (deal.buyer, deal.seller)}
    gone |= {act.agent: round_ for round_, act in acts if act.kind is ActKind.LEAVE}
    assert all(round_ <= gone.get(act.agent, round_) for round_, act in acts)
