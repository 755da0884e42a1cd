"""Aggressive: undercut now, yield early, take what comes near. At 8 permille its curve has given 200."""

from __future__ import annotations

from agentrooms.domain.terms import StrategyName
from tests.strategies.cases import (
    ACCEPT,
    BUYER,
    COMMENT,
    COUNTER,
    OFFER,
    REJECT,
    SELLER,
    Case,
    check,
    comments,
    counters,
    mine,
    offers,
    rejects,
    table,
)

SILENT = {"answer": True}
ANSWERS = {"answer": False}


@table(
    Case("a_buyer_opens_well_above_its_start", BUYER, 8, (), OFFER, "fast_concession", "120"),
    Case("a_seller_opens_well_below_its_start", SELLER, 8, (), OFFER, "fast_concession", "180"),
    Case("most_is_given_by_half_time", BUYER, 512, (), OFFER, "fast_concession", "180"),
    Case("takes_an_ask_near_its_curve", BUYER, 8, (offers(2, "s1", 135),), ACCEPT, "good_enough", "135", "s1"),
    Case("counters_an_ask_a_little_dearer", BUYER, 8, (offers(2, "s1", 136),), COUNTER, "fast_concession", "120", "s1"),
    Case("takes_a_bid_near_its_curve", SELLER, 8, (offers(2, "b1", 165),), ACCEPT, "good_enough", "165", "b1"),
    Case("undercuts_the_floor_by_a_step", SELLER, 8, (offers(2, "s1", 170),), OFFER, "undercut_now", "161.67"),
    Case("outbids_the_top_bid_by_a_step", BUYER, 8, (offers(2, "b1", 130),), OFFER, "undercut_now", "138.33"),
    Case("follows_its_curve_while_it_leads", SELLER, 8, (offers(2, "s1", 190),), OFFER, "fast_concession", "180"),
    Case("never_goes_back_on_an_undercut", SELLER, 8, (mine(5, 150),), None, dice=SILENT),
    Case("a_rival_below_its_limit_is_let_go", SELLER, 8, (offers(2, "s1", 102),), OFFER, "fast_concession", "180"),
    Case("early_no_undercut_near_its_limit", SELLER, 8, (offers(2, "s1", 115),), OFFER, "fast_concession", "180"),
    Case("late_it_undercuts_down_to_its_limit", SELLER, 800, (offers(2, "s1", 115),), OFFER, "undercut_now", "106.67"),
    Case(
        "a_refusal_makes_it_yield_half_a_step_more",
        BUYER,
        12,
        (offers(1, "s1", 190), mine(8, 120), rejects(10, "s1")),
        OFFER,
        "yield_to_refusal",
        "126.96",
    ),
    Case(
        "refuses_a_counter_that_is_too_far",
        BUYER,
        9,
        (mine(8, 120), counters(9, "s1", 190)),
        REJECT,
        "too_far",
        to="s1",
        dice=ANSWERS,
    ),
    Case(
        "presses_who_only_talks",
        BUYER,
        9,
        (mine(8, 120), comments(9, "s1")),
        COMMENT,
        "pressing",
        to="s1",
        dice=ANSWERS,
    ),
    Case(
        "asks_its_maximum_when_a_bid_is_above_it",
        SELLER,
        8,
        (offers(2, "b1", 215),),
        COUNTER,
        "bid_above_maximum",
        "210",
        "b1",
        maximum=210,
    ),
)
def test_aggressive(case: Case) -> None:
    check(StrategyName.AGGRESSIVE, case)
