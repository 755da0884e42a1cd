"""From a deal's events, and the vault where it is at hand, to its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentrooms.chain.ledger import LEDGER
from agentrooms.chain.port import Execution
from agentrooms.consensus.judgement import Case
from agentrooms.domain import deal as deals
from agentrooms.domain import verifier_set
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.deal import (
    Acceptance,
    Deal,
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealVerifying,
    EscrowSubmitted,
    VerifierAccused,
)
from agentrooms.domain.event import Event
from agentrooms.domain.explain import why_failed
from agentrooms.domain.verifier_set import VerifierSet, VerifierSetRegistered
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.record import Recorded
from agentrooms.events.vault import Vault
from agentrooms.sim.evidence import ledger, parties, voting
from agentrooms.sim.evidence.records import Evidence, Failure, Step, Transaction, holds, unchecked

_STATES: dict[type[Event], str] = {
    DealVerifying: "verifying",
    DealCertified: "certified",
    EscrowSubmitted: "sent to the escrow",
}


class NoSuchDeal(AgentroomsError):
    """A log does not hold the lock of a deal."""


@dataclass(slots=True)
class Trail:
    """What the log says of one deal, event by event."""

    deal: Deal
    room: str
    steps: list[Step]
    certified: DealCertified | None = None
    accused: list[VerifierAccused] = field(default_factory=list)
    submitted: list[EscrowSubmitted] = field(default_factory=list)
    completed: DealCompleted | None = None
    failed: DealFailed | None = None

    def follow(self, recorded: Recorded) -> None:
        """Takes a later event of the deal."""
        event: Any = recorded.event
        match event:
            case DealCertified():
                self.certified = event
            case VerifierAccused():
                self.accused.append(event)
            case EscrowSubmitted():
                self.submitted.append(event)
            case DealCompleted():
                self.completed = event
            case DealFailed():
                self.failed = event
        self.deal = deals.evolve(self.deal, event)
        state = _STATES.get(type(event), str(self.deal.state))
        if not isinstance(event, VerifierAccused):
            self.steps.append(Step(state, event.round, recorded.at_ms))


_LATER = DealVerifying | DealCertified | VerifierAccused | EscrowSubmitted | DealCompleted | DealFailed


def gather(events: Iterable[Recorded], deal: str, vault: Vault | None, *, secrets: bool = False) -> Evidence:
    """Returns the evidence of a deal. `secrets` adds both mandates, where the vault has them.

    Raises:
        NoSuchDeal: its lock is not among the events, or what it locks cannot be the terms of a deal.
    """
    trail: Trail | None = None
    spawned: dict[str, AgentSpawned] = {}
    sets: list[VerifierSet] = []
    for recorded in events:
        event = recorded.event
        if isinstance(event, AgentSpawned):
            spawned[event.agent] = event
        elif isinstance(event, VerifierSetRegistered):
            sets.append(verifier_set.evolve(VerifierSet(), event))
        elif isinstance(event, DealLocked) and event.terms.deal == deal:
            step = Step("locked", event.round, recorded.at_ms)
            trail = trail or Trail(deals.born(event), recorded.chain, [step])
        elif trail is not None and isinstance(event, _LATER) and event.deal == deal:
            trail.follow(recorded)
    if trail is None:
        raise NoSuchDeal(f"the lock of deal {deal} is not here", hint="an archive may begin after it")
    return _evidence(trail, spawned, _set_of(trail, sets), vault, secrets=secrets)


def _set_of(trail: Trail, sets: list[VerifierSet]) -> VerifierSet | None:
    """Returns the verifier set that the terms name."""
    terms = trail.deal.terms
    return next((one for one in sets if (one.version, one.domain) == (terms.set_version, terms.domain)), None)


def _evidence(
    trail: Trail, spawned: dict[str, AgentSpawned], verifiers: VerifierSet | None, vault: Vault | None, *, secrets: bool
) -> Evidence:
    deal, terms = trail.deal, trail.deal.terms
    try:
        ours = deals.deal_hash(terms)
    except InvalidInput as error:
        raise NoSuchDeal(f"deal {terms.deal} was locked with terms that can be none: {error}") from error
    receipt = deal.receipt
    words: tuple[Acceptance, ...] = deal.acceptances
    return Evidence(
        deal=terms.deal,
        room=trail.room,
        state=deal.state,
        buyer=terms.buyer,
        seller=terms.seller,
        price_usdc_micros=terms.price_usdc_micros,
        terms=terms,
        deal_hash=deal.deal_hash,
        details_hash=deals.details(terms),
        hashed=holds(ours == deal.deal_hash, f"the terms hash to {ours}"),
        steps=tuple(trail.steps),
        parties=parties.parties(terms, words, spawned, vault, trail.steps[0].at_ms, secrets=secrets),
        members=voting.members(verifiers),
        certificate=voting.tally(trail.certified, terms, verifiers),
        votes=voting.votes(trail.certified, terms, verifiers),
        accusations=voting.accusations(trail.accused, terms, verifiers),
        transactions=_transactions(trail, words, vault),
        tx_hash=receipt.tx_hash if receipt is not None else deal.tx_hash,
        block=receipt.block if receipt is not None else None,
        settled=_chain_of(trail).settled(terms, receipt) if receipt is not None else None,
        failure=_failure(trail.failed),
    )


def _chain_of(trail: Trail) -> Any:  # noqa: ANN401 - one of two modules with the same functions
    """Returns what reads transactions and receipts of the deal's chain."""
    if trail.deal.terms.domain == LEDGER.domain:
        return ledger
    from agentrooms.sim.evidence import evm  # noqa: PLC0415 - half a second, and only some need it

    return evm


def _transactions(trail: Trail, words: tuple[Acceptance, ...], vault: Vault | None) -> tuple[Transaction, ...]:
    terms, found = trail.deal.terms, []
    for event in trail.submitted:
        raw = parties.secret(vault, event.tx_hash)
        if raw is None:
            why = "its bytes are not in this vault" if vault is not None else "the vault is not at hand"
            found.append(Transaction(tx_hash=event.tx_hash, round=event.round, checked=unchecked(why)))
            continue
        found.append(_chain_of(trail).transaction(event, raw, terms, _execution(trail, words, vault)))
    return tuple(found)


def _execution(trail: Trail, words: tuple[Acceptance, ...], vault: Vault | None) -> Execution | None:
    """Returns what the escrow had to be told, None where a mandate is not at hand."""
    terms = trail.deal.terms
    buyer, seller = (parties.mandate(vault, key) for key in (terms.buyer_mandate, terms.seller_mandate))
    if buyer is None or seller is None or trail.certified is None:
        return None
    return Execution(Case(terms=terms, buyer=buyer, seller=seller, acceptances=words), trail.certified.votes)


def _failure(failed: DealFailed | None) -> Failure | None:
    if failed is None:
        return None
    meaning = why_failed(failed.reason, failed.detail)
    return Failure(reason=failed.reason, detail=failed.detail, meaning=meaning, at_fault=failed.at_fault)
