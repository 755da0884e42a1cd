"""The negative control: with enough colluders safety does break, and the invariants say so. Two are never enough."""

from __future__ import annotations

import pytest

from agentrooms.chaos.faults import Fault
from agentrooms.domain.deal import DealFailed, DealState, Decision, FailReason
from agentrooms.domain.verifier_set import VERIFIERS
from tests.byzantine.invariants import FAULTY_MAX, HONEST_MIN, NEEDED, STUCK, TWO_CERTIFICATES, UNFOUNDED, breaches
from tests.byzantine.scenes import UNDERFUNDED, VALID
from tests.byzantine.world import Schedule, World
from tests.domain.samples import NAMES

NUMBERS = range(VERIFIERS + 1)


def with_liars(fault: Fault, number: int) -> dict[str, Fault]:
    return dict.fromkeys(NAMES[:number], fault)


@pytest.mark.parametrize("liars", NUMBERS)
def test_from_three_equivocators_on_one_deal_can_have_two_certificates(liars: int) -> None:
    """Two settlements ask for themselves; the chain looks otherwise to some honest verifiers, whichever these are.

    Three liars stand behind both certificates, so each needs but two of the four honest.
    """
    broken = set()
    for drained in range(VERIFIERS - liars + 1):
        schedule = Schedule(
            faults=with_liars(Fault.EQUIVOCATING, liars),
            drained=dict.fromkeys(NAMES[liars : liars + drained], 0),
            second_ms=1,
        )
        broken |= set(breaches(World(schedule).play()))
    assert (TWO_CERTIFICATES in broken) == (liars > FAULTY_MAX)
    assert (UNFOUNDED in broken) == (NEEDED - liars < HONEST_MIN)


@pytest.mark.parametrize("liars", NUMBERS)
def test_five_colluders_approve_anything_and_the_escrow_still_refuses_it(liars: int) -> None:
    """The buyer has not the money. No honest verifier approves; a certificate there is from five colluders on."""
    world = World(Schedule(UNDERFUNDED, with_liars(Fault.ALWAYS_YES, liars))).play()
    certified = liars >= NEEDED
    assert (UNFOUNDED in breaches(world)) == certified
    assert world.deal.decision is (Decision.APPROVE if certified else Decision.REJECT if liars <= FAULTY_MAX else None)
    assert world.chain.used == {}
    assert world.deal.fail_reason is (FailReason.REJECTED if liars <= FAULTY_MAX else FailReason.EXPIRED)


@pytest.mark.parametrize("liars", NUMBERS)
def test_three_that_are_silent_stop_deals_and_end_none_wrongly(liars: int) -> None:
    """Without a quorum a deal waits for its deadline on chain: nothing moves, the lock ends."""
    world = World(Schedule(VALID, with_liars(Fault.SILENT, liars))).play()
    lost = liars > FAULTY_MAX
    assert world.deal.state is (DealState.FAILED if lost else DealState.COMPLETED)
    assert world.deal.fail_reason is (FailReason.EXPIRED if lost else None)
    assert breaches(world) == []


@pytest.mark.parametrize("liars", NUMBERS)
def test_five_slanderers_reject_a_good_deal_and_blame_the_innocent(liars: int) -> None:
    """Four cannot; up to two cannot even hinder it."""
    world = World(Schedule(VALID, with_liars(Fault.ALWAYS_NO, liars))).play()
    blamed = [event.at_fault for event in world.events if isinstance(event, DealFailed)]
    if liars >= NEEDED:
        assert blamed == [(world.terms.seller,)]
    else:
        assert blamed == ([] if liars <= FAULTY_MAX else [()])


def test_the_harness_sees_a_good_deal_that_is_not_completed() -> None:
    """Two faulty and an honest one that never sees the chain: three are silent."""
    schedule = Schedule(VALID, with_liars(Fault.SILENT, FAULTY_MAX), unreachable={NAMES[6]: 99})
    assert breaches(World(schedule).play()) == [STUCK]
