"""Patient: holds, wants its target (350 permille given), yields from 800 permille on."""

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
    withdraws,
)

ANSWERS = {"answer": True}
REMARKS = {"answer": False, "remark": True}
SILENT = {"answer": False, "remark": False}


@table(
    Case("a_buyer_opens_at_its_start", BUYER, 10, (), OFFER, "hold_then_yield", "100"),
    Case("a_seller_opens_at_its_start", SELLER, 10, (), OFFER, "hold_then_yield", "200"),
    Case("holds_for_a_third_of_its_time", BUYER, 300, (mine(10, 100),), None, dice=SILENT),
    Case("has_given_little_at_six_tenths", BUYER, 640, (mine(10, 100),), OFFER, "hold_then_yield", "111.4"),
    Case("gives_a_little_to_a_seller_too", SELLER, 640, (mine(10, 200),), OFFER, "hold_then_yield", "188.6"),
    Case("takes_its_target", BUYER, 500, (offers(5, "s1", 135),), ACCEPT, "good_enough", "135", "s1"),
    Case(
        "counters_what_misses_its_target",
        BUYER,
        500,
        (offers(5, "s1", 136),),
        COUNTER,
        "hold_then_yield",
        "103.3",
        "s1",
    ),
    Case(
        "early_even_its_target_is_too_dear",
        BUYER,
        100,
        (offers(5, "s1", 120),),
        COUNTER,
        "hold_then_yield",
        "100",
        "s1",
    ),
    Case(
        "refuses_what_is_beyond_its_target",
        BUYER,
        300,
        (mine(10, 100), counters(290, "s1", 150)),
        REJECT,
        "below_target",
        to="s1",
        dice=ANSWERS,
    ),
    Case(
        "does_not_refuse_a_refusal",
        BUYER,
        300,
        (offers(1, "s1", 150), mine(10, 100), rejects(290, "s1")),
        None,
        dice=ANSWERS,
    ),
    Case(
        "says_that_it_holds",
        BUYER,
        300,
        (mine(10, 100), comments(290, "s1")),
        COMMENT,
        "holding",
        to="s1",
        dice=REMARKS,
    ),
    Case("does_not_chase_a_rival", BUYER, 300, (mine(10, 100), offers(20, "b1", 150)), None, dice=SILENT),
    Case("its_ramp_begins_at_its_target", SELLER, 800, (mine(10, 200),), OFFER, "closing_ramp", "165"),
    Case("its_ramp_is_steep", BUYER, 900, (mine(10, 100),), OFFER, "closing_ramp", "167.5"),
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
    Case(
        "nothing_beyond_its_limit_even_then",
        BUYER,
        970,
        (offers(5, "s1", 201),),
        COUNTER,
        "closing_ramp",
        "190.2",
        "s1",
    ),
    Case("puts_its_quote_up_again", BUYER, 100, (mine(10, 100), withdraws(70)), OFFER, "renew", "100"),
    Case(
        "offers_to_the_room_what_nobody_has_answered",
        BUYER,
        640,
        (offers(5, "s1", 190), mine(10, 100)),
        OFFER,
        "hold_then_yield",
        "111.4",
    ),
)
def test_patient(case: Case) -> None:
    check(StrategyName.PATIENT, case)
