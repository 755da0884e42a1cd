"""Each fault by itself: two verifiers have it, the deal goes on, and who can be shown to lie is accused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrooms.chaos.faults import ABOUT, Fault
from agentrooms.domain.deal import DealCertified, DealState, Decision, VerifierAccused
from tests.byzantine.invariants import breaches
from tests.byzantine.scenes import INVALID, UNDERFUNDED, VALID, Scene
from tests.byzantine.world import FIRST, Schedule, World
from tests.domain.samples import NAMES

GUILTY = (NAMES[1], NAMES[4])
ACCUSED = {  # of what, when a good deal is judged; the others leave no proof
    Fault.TWO_FACED: {"equivocation"},
    Fault.BAD_ATTESTATION: {"attestation_invalid"},
    Fault.MALFORMED: {"reasons_malformed"},
}
COUNTED = {Fault.SLOW, Fault.CRASHING, Fault.FORGETFUL, Fault.EQUIVOCATING, Fault.TWO_FACED}
COUNTED |= {Fault.ALWAYS_YES, Fault.ALWAYS_NO, Fault.DUPLICATING}


def played(fault: Fault, scene: Scene = VALID) -> World:
    return World(Schedule(scene, dict.fromkeys(GUILTY, fault))).play()


@pytest.mark.parametrize("fault", Fault)
def test_a_good_deal_completes_and_only_liars_are_accused(fault: Fault) -> None:
    """Five honest votes are enough; those of the faulty count where they are votes at all."""
    world = played(fault)
    assert breaches(world) == []
    assert world.deal.state is DealState.COMPLETED
    accused = {(e.evidence.verifier, e.evidence.kind) for e in world.events if isinstance(e, VerifierAccused)}
    assert accused == {(name, kind) for name in GUILTY for kind in ACCUSED.get(fault, ())}
    (certified,) = (event for event in world.events if isinstance(event, DealCertified))
    voted = {vote.verifier for vote in certified.votes}
    assert voted == (set(NAMES) if fault in COUNTED else set(NAMES) - set(GUILTY))


@pytest.mark.parametrize("fault", [Fault.ALWAYS_YES, Fault.TWO_FACED, Fault.BAD_ATTESTATION, Fault.DUPLICATING])
@pytest.mark.parametrize("scene", INVALID, ids=lambda scene: scene.against)
def test_a_bad_deal_is_rejected_for_what_is_wrong_with_it(fault: Fault, scene: Scene) -> None:
    """Nobody else is blamed, and nothing moves."""
    world = played(fault, scene)
    assert breaches(world) == []
    assert world.deal.decision is Decision.REJECT
    assert world.chain.used == {}


def test_two_that_always_blame_the_seller_harm_neither_seller_nor_deal() -> None:
    """Neither beside five approvals, nor beside five who blame the buyer."""
    assert breaches(played(Fault.ALWAYS_NO)) == breaches(played(Fault.ALWAYS_NO, UNDERFUNDED)) == []


@pytest.mark.parametrize("fault", [Fault.FORGETFUL, Fault.EQUIVOCATING, Fault.CRASHING])
def test_who_decides_anew_is_accused_where_both_words_are_seen(fault: Fault) -> None:
    """Settlement dies between two answers, the first of which is late; meanwhile the buyer's wallet is emptied.

    Who has kept its memory says the same again.
    """
    name, last = NAMES[0], NAMES[6]
    late = Schedule(faults={name: fault}, delays_ms={name: (1_400, 0), last: (1_500,)}, drained={name: 1})
    worlds = [World(replace(late, deaths=((step, FIRST),))).play() for step in range(10, 40)]
    accused = [e.evidence for world in worlds for e in world.events if isinstance(e, VerifierAccused)]
    assert {(one.verifier, one.kind) for one in accused} == (
        {(name, "equivocation")} if fault is not Fault.CRASHING else set()
    )
    assert [breaches(world) for world in worlds] == [[]] * len(worlds)


def test_every_fault_is_explained() -> None:
    assert ABOUT.keys() == set(Fault)
