"""What the trader decides before and after a strategy: staying, leaving, looking up, keeping a message in reserve."""

from __future__ import annotations

import pytest

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.act import Act
from agentrooms.domain.agent import AgentLeft, AgentPaused
from agentrooms.domain.deal import DealFailed, FailReason
from agentrooms.domain.folding import PAIR_REST_ROUNDS, fold
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.market import Market
from agentrooms.domain.posting import Venue, lock, terms_of
from agentrooms.domain.room import Room
from agentrooms.domain.strategies import STRATEGIES
from agentrooms.domain.terms import ActKind, LeaveReason, Role, StrategyName
from agentrooms.domain.trader import decide
from tests.strategies.build import (
    COMMON,
    ME,
    RARE,
    ROUNDS,
    Said,
    mandate_of,
    room_of,
    said,
    spawned,
    usdc,
    wants_traits,
)
from tests.strategies.cases import counters, mine, offers

PATIENT, AGGRESSIVE = StrategyName.PATIENT, StrategyName.AGGRESSIVE


def decisions(room: Room, rounds: range, *, seed: int = 0) -> list[tuple[int, Act]]:
    """What `me`, a buyer from 100 to 200 USDC, would do in each of the rounds if nothing else happened."""
    me = room.agents[ME]
    mandate = mandate_of(spawned(ME, me.role), start=usdc(100), limit=usdc(200))
    acts = [(at, decide(Market(room), me, mandate, at, seed_bytes(seed))) for at in rounds]
    return [(at, act) for at, act in acts if act is not None]


def buyer(strategy: StrategyName, *lines: Said, others: tuple[str, ...] = ("s1",)) -> Room:
    sellers = [spawned(name, Role.SELLER) for name in others]
    return room_of([spawned(ME, Role.BUYER, strategy=strategy), *sellers], lines)


def test_it_leaves_when_its_trading_time_ends() -> None:
    acts = decisions(buyer(PATIENT), range(ROUNDS - 1, ROUNDS + 2))
    assert [(at, act.kind, act.reason.rule) for at, act in acts if at >= ROUNDS] == [
        (ROUNDS, ActKind.LEAVE, "mandate_ends"),
        (ROUNDS + 1, ActKind.LEAVE, "mandate_ends"),
    ]


def test_a_paused_agent_is_silent_until_its_time_ends() -> None:
    room = fold(buyer(PATIENT), [AgentPaused(ME, 1)])
    assert decisions(room, range(2, ROUNDS)) == []
    assert decisions(room, range(ROUNDS, ROUNDS + 1))[0][1].kind is ActKind.LEAVE


@pytest.mark.parametrize("strategy", StrategyName)
def test_it_speaks_no_sooner_than_half_its_pace_and_no_later_than_twice_its_pace(strategy: StrategyName) -> None:
    pace = STRATEGIES[strategy].pace_rounds
    acts = decisions(buyer(strategy, offers(1, "s1", 100)), range(2, 3 * pace))
    assert pace <= acts[0][0] <= 2 * pace


def test_it_answers_sooner_when_spoken_to() -> None:
    quiet = buyer(AGGRESSIVE, offers(1, "s1", 199), mine(5, 101))
    spoken = buyer(AGGRESSIVE, offers(1, "s1", 199), mine(5, 101), counters(6, "s1", 198))
    firsts = [[decisions(room, range(7, 30), seed=seed)[0][0] for seed in range(20)] for room in (quiet, spoken)]
    assert min(firsts[1]) < min(firsts[0])
    assert sum(firsts[1]) < sum(firsts[0])


def test_it_looks_up_twice_as_often_near_the_end() -> None:
    pace = STRATEGIES[PATIENT].pace_rounds
    firsts = [
        min(
            at for at, _act in decisions(buyer(PATIENT, offers(1, "s1", 199), mine(last, 100)), range(last + 1, ROUNDS))
        )
        - last
        for last in (850, 950)
    ]
    assert firsts[0] >= pace > firsts[1] >= pace // 2


def test_with_nobody_to_trade_with_it_keeps_one_quote_up() -> None:
    alone = buyer(AGGRESSIVE, mine(5, 120), others=())
    assert decisions(alone, range(6, 900)) == []
    assert decisions(buyer(AGGRESSIVE, others=()), range(1, 30))[0][1].kind is ActKind.OFFER


def test_who_has_left_is_nobody_to_trade_with() -> None:
    room = fold(buyer(AGGRESSIVE, mine(5, 120)), [AgentLeft("s1", LeaveReason.TIMEOUT, 6)])
    assert decisions(room, range(7, 900)) == []


def test_it_may_give_up_late_on_a_market_far_beyond_its_limit() -> None:
    room = buyer(PATIENT, offers(1, "s1", 281))
    assert not [act for _at, act in decisions(room, range(2, 700)) if act.kind is ActKind.LEAVE]
    assert "market_out_of_reach" in {act.reason.rule for _at, act in decisions(room, range(700, 900))}
    near = buyer(PATIENT, offers(1, "s1", 280))
    assert not [act for _at, act in decisions(near, range(2, ROUNDS)) if act.kind is ActKind.LEAVE]


def test_the_last_message_of_a_minute_is_kept_for_an_accept() -> None:
    chatter = [mine(at, 101) for at in range(1, 10)]
    busy = buyer(AGGRESSIVE, offers(1, "s1", 199), *chatter)
    assert min(at for at, _act in decisions(busy, range(18, 100))) == 61  # a minute after the first of the nine
    acts = decisions(buyer(AGGRESSIVE, *chatter, offers(10, "s1", 102)), range(11, 61))
    assert {act.kind for _at, act in acts} == {ActKind.ACCEPT}


def test_a_pair_whose_deal_failed_rests() -> None:
    room = buyer(AGGRESSIVE, offers(1, "s1", 102), offers(2, "s2", 103), others=("s1", "s2"))
    at, act = decisions(room, range(3, 20))[0]
    assert act.to == "s1"
    terms = terms_of(room, act, Venue(LEDGER, 1, 60_000), at)
    failed = DealFailed((), terms.deal, "", FailReason.EXPIRED, at + 1)
    room = fold(room, [lock(terms, at), failed, said(room, offers(at + 2, "s1", 102))])
    resting = {act.to for _at, act in decisions(room, range(at + 3, at + 1 + PAIR_REST_ROUNDS))}
    rested = {act.to for _at, act in decisions(room, range(at + 1 + PAIR_REST_ROUNDS, at + 60))}
    assert (resting, rested) == ({"s2"}, {"s1"})


def test_rivals_and_crowds_are_comparable() -> None:
    """A bid for anything competes with bids for the base grade, not with those for a rare item."""
    spawns = [
        spawned(ME, Role.BUYER),
        spawned("b_common", Role.BUYER, wants=wants_traits(COMMON)),
        spawned("b_rare", Role.BUYER, wants=wants_traits(RARE)),
        spawned("s_rare", Role.SELLER, grade=RARE),
        spawned("s1", Role.SELLER),
    ]
    lines = [offers(1, "b_common", 110), offers(2, "b_rare", 150), offers(3, "s_rare", 190), offers(4, "s1", 180)]
    room = room_of(spawns, lines)
    market = Market(room)
    rival = {name: market.rival_of(room.agents[name]) for name in room.agents}
    assert {name: quote.agent for name, quote in rival.items() if quote} == {ME: "b_common"}
    assert market.crowds(room.agents[ME]) == (1, 1)
    assert market.crowds(room.agents["s_rare"]) == (1, 1)
    sellers = [market.has_counterpart(room.agents[name]) for name in ("s_rare", "s1")]
    assert sellers == [True, True]
    without = room_of([*spawns[:3], spawns[4]], [offers(4, "s1", 180)])
    assert not Market(room_of([*spawns[:3], spawns[4]])).has_counterpart(room.agents["b_common"]), "s1 is silent"
    assert Market(without).has_counterpart(without.agents["b_common"])
    assert not Market(without).has_counterpart(without.agents["b_rare"])
