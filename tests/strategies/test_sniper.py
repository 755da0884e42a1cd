"""Sniper: silent until a price is good (300 permille given), the spread narrow, or the end near (750)."""

from __future__ import annotations

from agentrooms.domain.terms import StrategyName
from tests.strategies.cases import (
    ACCEPT,
    BUYER,
    COMMENT,
    COUNTER,
    OFFER,
    SELLER,
    WITHDRAW,
    Case,
    check,
    comments,
    mine,
    offers,
    table,
    withdraws,
)

OPENS = {"open": True}
SILENT = {"open": True, "remark": False}
SHOOTS = {"ramp": True}


@table(
    Case("is_silent_at_first", BUYER, 10, (), None, dice=SILENT),
    Case("opens_an_empty_room", BUYER, 130, (), OFFER, "opening_duty", "100", dice=OPENS),
    Case("a_seller_opens_an_empty_room", SELLER, 130, (), OFFER, "opening_duty", "200", dice=OPENS),
    Case("leaves_opening_to_others_mostly", BUYER, 130, (), None, dice={"open": False}),
    Case("does_not_open_where_an_ask_stands", BUYER, 130, (offers(5, "s1", 190),), None, dice=SILENT),
    Case("does_not_open_where_a_rival_stands", BUYER, 130, (offers(5, "b1", 120),), None, dice=SILENT),
    Case("opens_once_only", BUYER, 200, (mine(130, 100), withdraws(165)), None, dice=SILENT),
    Case("takes_a_good_ask", BUYER, 400, (offers(5, "s1", 130),), ACCEPT, "good_enough", "130", "s1"),
    Case("takes_a_good_bid", SELLER, 400, (offers(5, "b1", 170),), ACCEPT, "good_enough", "170", "b1"),
    Case("lets_a_dearer_ask_go", BUYER, 400, (offers(5, "s1", 131),), None, dice=SILENT),
    Case("early_it_waits_for_a_better_one", BUYER, 100, (offers(5, "s1", 111),), None, dice=SILENT),
    Case("early_it_takes_a_steal", BUYER, 100, (offers(5, "s1", 110),), ACCEPT, "good_enough", "110", "s1"),
    Case(
        "takes_a_narrow_spread",
        BUYER,
        400,
        (offers(5, "b1", 175), offers(6, "s1", 180)),
        ACCEPT,
        "good_enough",
        "180",
        "s1",
    ),
    Case("lets_a_wide_spread_go", BUYER, 400, (offers(5, "b1", 174), offers(6, "s1", 180)), None, dice=SILENT),
    Case(
        "a_narrow_spread_beyond_its_limit_is_not_for_it",
        BUYER,
        400,
        (offers(5, "b1", 200), offers(6, "s1", 201)),
        None,
        dice=SILENT,
    ),
    Case("does_not_stay_exposed", BUYER, 160, (mine(130, 100),), WITHDRAW, "exposed_too_long"),
    Case("stays_exposed_for_a_while", BUYER, 159, (mine(130, 100),), None),
    Case(
        "shoots_with_a_strong_bid",
        BUYER,
        750,
        (offers(5, "s1", 190),),
        COUNTER,
        "closing_ramp",
        "130",
        "s1",
        dice=SHOOTS,
    ),
    Case("its_ramp_is_steep", SELLER, 875, (offers(5, "b1", 110),), COUNTER, "closing_ramp", "135", "b1", dice=SHOOTS),
    Case("its_shots_are_few", BUYER, 875, (offers(5, "s1", 190),), None, dice={"ramp": False}),
    Case(
        "rarely_says_that_it_watches",
        BUYER,
        50,
        (comments(40, "s1"),),
        COMMENT,
        "watching",
        to="s1",
        dice={"remark": True},
    ),
    Case(
        "takes_what_it_had_offered_before_it_became_a_sniper",
        BUYER,
        20,
        (mine(5, 150), offers(6, "s1", 150)),
        ACCEPT,
        "good_enough",
        "150",
        "s1",
    ),
    Case(
        "takes_anything_within_its_limit_at_last_call",
        BUYER,
        970,
        (offers(5, "s1", 199),),
        ACCEPT,
        "last_call",
        "199",
        "s1",
    ),
)
def test_sniper(case: Case) -> None:
    check(StrategyName.SNIPER, case)
