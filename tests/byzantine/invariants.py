"""What must hold of a deal before seven verifiers, whoever misbehaves. Counted here by hand, not by the protocol.

Certificates are looked for among all votes that ever left a verifier: whoever collects them, and in whatever
order, cannot make more of them than is found here.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentrooms.chaos.faults import PROVABLE
from agentrooms.consensus.evidence import is_proof
from agentrooms.consensus.votes import is_valid
from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealEvent,
    DealFailed,
    DealLocked,
    DealState,
    Decision,
    FailReason,
    Misbehaviour,
    Terms,
    VerifierAccused,
)
from agentrooms.domain.event import Event
from agentrooms.domain.verifier_set import VerifierSet, VerifierSetRegistered, evolve
from tests.byzantine.world import World

FAULTY_MAX, NEEDED, HONEST_MIN = 2, 5, 3

TWO_CERTIFICATES = "two certificates can be made for one deal id"
UNFOUNDED = "fewer than three honest verifiers are behind an approval"
MISCOUNTED = "a certificate in the log has not five valid votes of distinct verifiers"
INVALID_EXECUTED = "a deal that is against the rules was executed"
UNCERTIFIED = "a deal was executed without a certificate in the log"
FRAMED = "an honest verifier is accused"
UNPROVEN = "an accusation is no proof"
UNNOTED = "what settlement proved does not stand in the log"
STUCK = "a good deal was not completed"
PASSED = "a bad deal was not rejected for what is wrong with it"
RESTLESS = "a deal has not one end, or something was said of it afterwards"


def breaches(world: World) -> list[str]:
    """All that does not hold, each once."""
    checks = (_safety, _log, _evidence, _liveness)
    return sorted({found for check in checks for found in check(world)})


def _safety(world: World) -> Iterator[str]:
    made = []
    for terms in (world.terms, world.other):
        for decision in Decision:
            voters = _voters(world, terms, decision)
            if len(voters) < NEEDED:
                continue
            made.append((terms, decision))
            if decision is Decision.APPROVE and len(voters & world.honest) < HONEST_MIN:
                yield UNFOUNDED
    if len(made) > 1:
        yield TWO_CERTIFICATES
    if world.chain.used and world.schedule.scene.against:
        yield INVALID_EXECUTED


def _voters(world: World, terms: Terms, decision: Decision) -> set[str]:
    verifiers = _registered(world.events)
    votes = (said.vote for said in world.said if said.vote.decision is decision)
    return {vote.verifier for vote in votes if is_valid(vote, terms, verifiers)}


def _log(world: World) -> Iterator[str]:
    events, verifiers = world.events, _registered(world.events)
    certified = [event for event in events if isinstance(event, DealCertified)]
    for event in certified:
        good = [vote for vote in event.votes if is_valid(vote, world.terms, verifiers)]
        agreeing = {vote.verifier for vote in good if vote.decision is event.decision}
        if len(certified) > 1 or len(good) != len(event.votes) or len(agreeing) < NEEDED:
            yield MISCOUNTED
    approved = any(event.decision is Decision.APPROVE for event in certified)
    if (world.chain.used or any(isinstance(event, DealCompleted) for event in events)) and not approved:
        yield UNCERTIFIED
    of_deal = [event for event in events if isinstance(event, DealEvent)]
    ends = [n for n, event in enumerate(of_deal) if isinstance(event, DealCompleted | DealFailed)]
    if ends != [len(of_deal) - 1]:
        yield RESTLESS


def _evidence(world: World) -> Iterator[str]:
    """From the log alone: its terms, its set, its accusations. What settlement told the room counts as well."""
    events = world.events
    (terms,) = (event.terms for event in events if isinstance(event, DealLocked))
    logged = [event.evidence for event in events if isinstance(event, VerifierAccused)]
    told = [evidence for verdict in world.verdicts for evidence in verdict.evidence]
    for evidence in (*logged, *told):
        if not is_proof(evidence, terms, _registered(events)):
            yield UNPROVEN
        fault = world.schedule.faults.get(evidence.verifier)
        if fault not in PROVABLE:
            yield FRAMED
    certified = any(isinstance(event, DealCertified) for event in events)
    if certified and len(world.verdicts) == 1 and not _same(logged, told):
        yield UNNOTED


def _same(logged: list[Misbehaviour], told: list[Misbehaviour]) -> bool:
    return sorted((e.verifier, e.kind) for e in logged) == sorted((e.verifier, e.kind) for e in told)


def _liveness(world: World) -> Iterator[str]:
    schedule, deal = world.schedule, world.deal
    if len(schedule.faults) > FAULTY_MAX or not schedule.stable:
        return
    if not schedule.scene.against:
        if deal.state is not DealState.COMPLETED:
            yield STUCK
        return
    details = [event.detail for event in world.events if isinstance(event, DealFailed)]
    if deal.fail_reason is not FailReason.REJECTED or details != [schedule.scene.against]:
        yield PASSED


def _registered(events: list[Event]) -> VerifierSet:
    (registered,) = (event for event in events if isinstance(event, VerifierSetRegistered))
    return evolve(VerifierSet(), registered)
