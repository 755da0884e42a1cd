"""The room believes settlement no more than a verifier: forged votes and evidence change nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agentrooms.chaos.faults import Fault
from agentrooms.domain.deal import DealCertified, DealState, FailReason, VerifierAccused
from tests.byzantine.forging import VOTES, accusations, with_forger
from tests.byzantine.invariants import breaches
from tests.byzantine.scenes import UNDERFUNDED, VALID, Scene
from tests.byzantine.world import Schedule, World
from tests.domain.samples import NAMES


def log_of(world: World) -> list[bytes]:
    return [found.event.data for found in world.store.read()]


@pytest.mark.parametrize("scene", [VALID, UNDERFUNDED], ids=["good", "bad"])
@pytest.mark.parametrize("forgery", VOTES)
def test_forged_votes_certify_nothing(forgery: str, scene: Scene) -> None:
    """Neither an approval nor a rejection; the deal ends at its deadline, and nothing has moved."""
    world = with_forger(World(Schedule(scene)), lambda world, verdict: [VOTES[forgery](world, verdict)]).play()
    assert not any(isinstance(event, DealCertified | VerifierAccused) for event in world.events)
    assert (world.deal.state, world.deal.fail_reason) == (DealState.FAILED, FailReason.EXPIRED)
    assert world.chain.used == {}


@pytest.mark.parametrize("forgery", VOTES)
def test_forged_votes_before_the_true_ones_leave_no_trace(forgery: str) -> None:
    """The log has the same bytes."""
    world = World(Schedule())
    with_forger(world, lambda world, verdict: [VOTES[forgery](world, verdict), verdict]).play()
    assert log_of(world) == log_of(World(Schedule()).play())


@pytest.mark.parametrize("scene", [VALID, UNDERFUNDED], ids=["good", "bad"])
def test_made_up_evidence_accuses_nobody(scene: Scene) -> None:
    """Beside true evidence against a verifier that is faulty indeed."""
    schedule = Schedule(scene, {NAMES[5]: Fault.TWO_FACED})
    world = World(schedule)
    with_forger(
        world,
        lambda world, verdict: [replace(verdict, evidence=(*accusations(world, verdict), *verdict.evidence))],
    ).play()
    honest = World(schedule).play()
    assert log_of(world) == log_of(honest)
    assert any(isinstance(event, VerifierAccused) for event in honest.events)
    assert breaches(honest) == []
