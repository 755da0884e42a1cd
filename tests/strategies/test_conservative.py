"""Conservative: tit for tat within a slow curve (90 permille given at 300). Its step is 8.33 USDC."""

from __future__ import annotations

from agentrooms.domain.terms import StrategyName
from tests.strategies.cases import (
    ACCEPT,
    BUYER,
    COUNTER,
    OFFER,
    REJECT,
    SELLER,
    WITHDRAW,
    Case,
    check,
    counters,
    mine,
    offers,
    table,
    withdraws,
)

STEPS = {"step": True}
HOLDS = {"step": False, "refuse": False}
OPENED = (offers(5, "s1", 180), mine(10, 100))


@table(
    Case("a_buyer_opens_low", BUYER, 10, (), OFFER, "cautious_open", "100"),
    Case("a_seller_opens_high", SELLER, 10, (), OFFER, "cautious_open", "200"),
    Case("opens_low_even_late", BUYER, 600, (), OFFER, "cautious_open", "100"),
    Case(
        "gives_what_it_was_given", BUYER, 300, (*OPENED, counters(290, "s1", 175)), COUNTER, "reciprocate", "105", "s1"
    ),
    Case(
        "gives_at_most_a_step", BUYER, 300, (*OPENED, counters(290, "s1", 150)), COUNTER, "reciprocate", "108.33", "s1"
    ),
    Case(
        "gives_no_more_than_its_curve",
        BUYER,
        200,
        (*OPENED, counters(190, "s1", 172)),
        COUNTER,
        "reciprocate",
        "104",
        "s1",
    ),
    Case(
        "a_seller_gives_back_too",
        SELLER,
        300,
        (offers(5, "b1", 120), mine(10, 200), counters(290, "b1", 125)),
        COUNTER,
        "reciprocate",
        "195",
        "b1",
    ),
    Case(
        "refuses_a_token_concession",
        BUYER,
        300,
        (*OPENED, counters(290, "s1", 179)),
        REJECT,
        "too_little_given",
        to="s1",
        dice={"step": False, "refuse": True},
    ),
    Case("or_lets_it_pass", BUYER, 300, (*OPENED, counters(290, "s1", 179)), None, dice=HOLDS),
    Case("steps_slowly_by_itself", BUYER, 300, OPENED, OFFER, "slow_step", "104.16", dice=STEPS),
    Case("waits_most_of_the_time", BUYER, 300, OPENED, None, dice=HOLDS),
    Case("a_slow_step_ends_at_its_curve", BUYER, 150, OPENED, OFFER, "slow_step", "102.2", dice=STEPS),
    Case(
        "steps_back_when_outrun",
        BUYER,
        300,
        (*OPENED, offers(20, "b1", 130)),
        WITHDRAW,
        "outrun",
        dice={"step_back": True},
    ),
    Case("stays_out_while_outrun", BUYER, 300, (*OPENED, withdraws(15), offers(20, "b1", 130)), None),
    Case(
        "comes_back_when_the_rival_is_near",
        BUYER,
        300,
        (*OPENED, withdraws(15), offers(20, "b1", 110)),
        OFFER,
        "reopen",
        "109",
    ),
    Case(
        "gives_way_late_though_outrun",
        BUYER,
        900,
        (*OPENED, offers(20, "b1", 199), withdraws(30, "s1")),
        OFFER,
        "late_concession",
        "181",
    ),
    Case("takes_an_ask_on_its_curve", BUYER, 500, (offers(5, "s1", 125),), ACCEPT, "good_enough", "125", "s1"),
    Case("takes_a_bid_on_its_curve", SELLER, 500, (offers(5, "b1", 175),), ACCEPT, "good_enough", "175", "b1"),
    Case(
        "takes_anything_within_its_limit_at_last_call",
        SELLER,
        970,
        (offers(5, "b1", 101),),
        ACCEPT,
        "last_call",
        "101",
        "b1",
    ),
)
def test_conservative(case: Case) -> None:
    check(StrategyName.CONSERVATIVE, case)
