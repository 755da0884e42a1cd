"""Competitive: little better than its rivals, greedy while in demand. A quarter of its step is 2.08 USDC."""

from __future__ import annotations

from agentrooms.domain.terms import StrategyName
from tests.strategies.cases import (
    ACCEPT,
    BUYER,
    COUNTER,
    OFFER,
    REJECT,
    SELLER,
    Case,
    check,
    counters,
    mine,
    offers,
    rejects,
    table,
    withdraws,
)

BIDDERS = (offers(2, "b1", 101), offers(2, "b2", 102), offers(2, "b3", 103))
SELLERS = (offers(2, "s1", 199), offers(2, "s2", 198), offers(2, "s3", 197))
GREEDY = {"demand": True}
CONTENT = {"demand": False, "refuse": False}


@table(
    Case("a_buyer_opens_on_its_line", BUYER, 9, (), OFFER, "linear_concession", "101"),
    Case("a_seller_opens_on_its_line", SELLER, 9, (), OFFER, "linear_concession", "199"),
    Case("its_margin_is_gone_at_nine_tenths", SELLER, 900, (), OFFER, "linear_concession", "100"),
    Case("beats_a_lower_ask_by_little", SELLER, 90, (offers(5, "s1", 180),), OFFER, "beat_rival", "177.92"),
    Case("beats_a_higher_bid_by_little", BUYER, 90, (offers(5, "b1", 130),), OFFER, "beat_rival", "132.08"),
    Case("keeps_its_line_while_it_leads", SELLER, 90, (offers(5, "s1", 195),), OFFER, "linear_concession", "190"),
    Case("takes_an_ask_on_its_line", BUYER, 450, (offers(5, "s1", 150),), ACCEPT, "good_enough", "150", "s1"),
    Case("counters_a_dearer_ask", BUYER, 450, (offers(5, "s1", 151),), COUNTER, "linear_concession", "150", "s1"),
    Case(
        "takes_a_bid_as_good_as_the_price_that_beats_its_rival",
        SELLER,
        90,
        (offers(5, "s1", 180), offers(6, "b1", 178)),
        ACCEPT,
        "good_enough",
        "178",
        "b1",
    ),
    Case("opens_at_its_start_when_bidders_crowd", SELLER, 20, BIDDERS, COUNTER, "open_in_demand", "200", "b3"),
    Case(
        "asks_for_more_in_demand", SELLER, 20, (*BIDDERS, mine(5, 190)), OFFER, "demand_is_high", "194.17", dice=GREEDY
    ),
    Case(
        "a_buyer_lowers_its_bid_when_sellers_crowd",
        BUYER,
        20,
        (*SELLERS, mine(5, 110)),
        OFFER,
        "demand_is_high",
        "105.83",
        dice=GREEDY,
    ),
    Case("is_silent_when_content", SELLER, 20, (*BIDDERS, mine(5, 190)), None, dice=CONTENT),
    Case(
        "greed_ends_two_steps_above_its_start",
        SELLER,
        20,
        (*BIDDERS, mine(5, 216)),
        None,
        dice={**GREEDY, "refuse": False},
    ),
    Case("greed_ends_with_its_time", SELLER, 450, (*BIDDERS, mine(5, 190)), OFFER, "linear_concession", "150"),
    Case("two_bidders_are_no_crowd", SELLER, 90, (*BIDDERS[:2], mine(5, 199)), OFFER, "linear_concession", "190"),
    Case(
        "a_rival_ahead_ends_greed",
        SELLER,
        20,
        (*BIDDERS, mine(5, 190), offers(6, "s1", 185)),
        OFFER,
        "beat_rival",
        "182.92",
    ),
    Case(
        "refuses_lowballs_in_demand",
        SELLER,
        20,
        (*BIDDERS, mine(5, 190), counters(6, "b3", 104)),
        REJECT,
        "demand_is_high",
        to="b3",
        dice={"demand": False, "refuse": True},
    ),
    Case(
        "a_refusal_costs_it_a_quarter_of_a_step",
        BUYER,
        90,
        (offers(1, "s1", 190), mine(5, 110), rejects(6, "s1")),
        OFFER,
        "yield_to_refusal",
        "112.08",
    ),
    Case("never_bids_near_its_limit_early", BUYER, 360, (offers(5, "b1", 189),), OFFER, "linear_concession", "140"),
    Case(
        "says_the_same_price_again_when_its_quote_is_gone",
        SELLER,
        90,
        (mine(5, 150), withdraws(6)),
        OFFER,
        "renew",
        "150",
    ),
    Case(
        "takes_what_it_has_offered_to_all",
        SELLER,
        90,
        (mine(5, 150), offers(6, "b1", 150)),
        ACCEPT,
        "good_enough",
        "150",
        "b1",
    ),
)
def test_competitive(case: Case) -> None:
    check(StrategyName.COMPETITIVE, case)
