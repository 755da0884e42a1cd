"""What a room does where settlement or an outsider acts in ways the protocol does not have."""

from __future__ import annotations

from msgspec.structs import replace

from agentrooms.actors.messages import Message, VerifyDeal
from agentrooms.chain.port import Execution
from agentrooms.chaos.faults import Fault
from agentrooms.consensus.judgement import Case
from agentrooms.consensus.protocol import Tally, receive
from agentrooms.domain.deal import DealState, FailReason, VerifierAccused
from tests.byzantine.forging import with_forger
from tests.byzantine.invariants import breaches
from tests.byzantine.world import FIRST, Schedule, World
from tests.domain.samples import BUYER, NAMES, SELLER, SET


def test_an_approval_without_a_transaction_is_no_answer() -> None:
    """The room goes on; what is missing may still come."""
    world = World(Schedule())
    with_forger(world, lambda _world, verdict: [replace(verdict, tx_hash=None)]).play()
    assert (world.deal.state, world.deal.fail_reason) == (DealState.FAILED, FailReason.EXPIRED)


def test_true_evidence_told_many_times_accuses_once() -> None:
    schedule = Schedule(faults={NAMES[5]: Fault.TWO_FACED})
    world = World(schedule)
    with_forger(world, lambda _world, verdict: [replace(verdict, evidence=verdict.evidence * 100)]).play()
    assert sum(isinstance(event, VerifierAccused) for event in world.events) == 1


def test_liars_that_prevent_a_decision_are_accused_when_the_deal_ends() -> None:
    """Three attest badly: no quorum, and their proofs stand in the log before the end."""
    world = World(Schedule(faults=dict.fromkeys(NAMES[:3], Fault.BAD_ATTESTATION))).play()
    accused = [event.evidence.verifier for event in world.events if isinstance(event, VerifierAccused)]
    assert accused == list(NAMES[:3])
    assert world.deal.fail_reason is FailReason.EXPIRED
    assert breaches(world) == []


def test_a_deal_that_an_outsider_executed_before_the_room_decided_completes() -> None:
    """Three answers come after the last ask; who gathers them has a certificate, which the room must ask for."""
    late = dict.fromkeys(NAMES[:3], (9_000, 9_000, 9_000, 0))
    world = World(Schedule(delays_ms=late))

    def outsider(message: Message) -> None:
        if isinstance(message, VerifyDeal):
            jobs.append(message)

    jobs: list[VerifyDeal] = []
    world.runtime.watch(FIRST, outsider)
    while not jobs or len(world.said) < len(NAMES):
        world.runtime.step()
    tally = Tally(world.terms, SET)
    for said in world.said:
        tally = receive(tally, said.vote)
    case = Case(terms=world.terms, buyer=BUYER, seller=SELLER, acceptances=jobs[0].acceptances)
    world.chain.send(world.chain.prepare(Execution(case, tally.certificate())).raw, jobs[0].at_ms)
    assert world.chain.used
    world.play()
    assert world.deal.state is DealState.COMPLETED
    assert breaches(world) == []
