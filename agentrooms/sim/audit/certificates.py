"""Quorum certificates, counted again by hand (invariant 9)."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from agentrooms.consensus.judgement import REASONS
from agentrooms.consensus.votes import attestation_digest
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import DealCertified, DealFailed, DealLocked, Decision, FailReason, Terms, Vote, deal_hash
from agentrooms.domain.keys import verify
from agentrooms.domain.secp256k1 import recover
from agentrooms.domain.verifier_set import Verifier, VerifierSetRegistered, is_bound
from agentrooms.sim.audit.source import Source
from agentrooms.sim.audit.walk import Handler, Line, Rule

VERIFIERS, QUORUM, BLAMED_BY = 7, 5, 3
REASONS_MAX = 8


class Certificates(Rule):
    """At least five distinct registered signers over the same statement; a missing vote counts as no."""

    name: ClassVar[str] = "certificates"
    compared: ClassVar[str] = "every certificate has five or more valid votes of distinct registered verifiers"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._sets: dict[int, VerifierSetRegistered] = {}
        self._terms: dict[str, Terms] = {}
        self._certified: dict[str, DealCertified] = {}

    def handlers(self) -> dict[str, Handler]:
        """Sets, certificates and the ends that need one."""
        return {
            "verifiers.registered": self._registered,
            "deal.locked": self._locked,
            "deal.certified": self._check,
            "deal.completed": self._completed,
            "deal.failed": self._failed,
        }

    def _registered(self, line: Line) -> None:
        event: VerifierSetRegistered = line.event
        names, keys = {v.id for v in event.verifiers}, {v.public_key for v in event.verifiers}
        if (len(event.verifiers), len(names), len(keys)) != (VERIFIERS, VERIFIERS, VERIFIERS):
            self.found.wrong(line.number, f"a set has {VERIFIERS} distinct members, was {len(event.verifiers)}")
        for verifier in event.verifiers:
            if not is_bound(verifier):
                self.found.wrong(line.number, f"the two keys of {verifier.id} have not signed for each other")
        if event.version != len(self._sets) + 1:
            self.found.wrong(line.number, f"the set's version is {event.version}, due is {len(self._sets) + 1}")
        self._sets[event.version] = event

    def _locked(self, line: Line) -> None:
        event: DealLocked = line.event
        terms = event.terms
        latest = self._sets.get(terms.set_version if self.live else len(self._sets))  # a live room learns of sets late
        self._terms[terms.deal] = terms
        ours = (terms.set_version, terms.chain_id, terms.escrow)
        if latest is None or ours != (latest.version, latest.chain_id, latest.escrow):
            self.found.wrong(line.number, f"verifier set, chain and escrow are {ours}, not those registered")

    def _check(self, line: Line) -> None:
        event: DealCertified = line.event
        terms = self._terms.get(event.deal)
        members = self._sets.get(event.set_version)
        if self.partial and terms is None:
            self._certified[event.deal] = event
            return
        if terms is None or members is None or terms.set_version != event.set_version:
            self.found.wrong(line.number, f"deal {event.deal} or verifier set {event.set_version} is unknown here")
            return
        self._certified[event.deal] = event
        names = [vote.verifier for vote in event.votes]
        if names != sorted(set(names)):
            self.found.wrong(line.number, f"a verifier is counted twice, or the votes are unsorted: {', '.join(names)}")
        known = {v.id: v for v in members.verifiers}
        for vote in event.votes:
            self.found.count += 1
            wrong = _wrong_vote(vote, terms, known)
            if not wrong and not self.live:  # a live room's time is not that of the chain
                wrong = _wrong_look(vote, line.recorded.at_ms)
            if wrong:
                self.found.wrong(line.number, f"the vote of {vote.verifier} on deal {event.deal}: {wrong}")
        agreeing = {vote.verifier for vote in event.votes if vote.decision is event.decision}
        if len(agreeing) < QUORUM:
            self.found.wrong(line.number, f"{len(agreeing)} votes say {event.decision}, {QUORUM} are needed")

    def _completed(self, line: Line) -> None:
        certificate = self._certified.get(line.event.deal)
        if self.partial and certificate is None:
            return
        if certificate is None or certificate.decision is not Decision.APPROVE:
            self.found.wrong(line.number, f"deal {line.event.deal} completes without an approval")

    def _failed(self, line: Line) -> None:
        event: DealFailed = line.event
        if event.reason is not FailReason.REJECTED:
            return
        certificate = self._certified.get(event.deal)
        if self.partial and certificate is None:
            return
        if certificate is None or certificate.decision is not Decision.REJECT:
            self.found.wrong(line.number, f"deal {event.deal} fails as rejected without a reject certificate")
            return
        named = Counter(reason for vote in certificate.votes for reason in set(vote.annex.reasons))
        blamed = ",".join(sorted(reason for reason, count in named.items() if count >= BLAMED_BY))
        if event.detail != blamed:
            self.found.wrong(line.number, f"the reason given is {event.detail!r}, the verifiers agree on {blamed!r}")


def _wrong_vote(vote: Vote, terms: Terms, known: dict[str, Verifier]) -> str:
    """Checks both signatures of a vote, over the statement as the auditor writes it down."""
    member = known.get(vote.verifier)
    if member is None:
        return "it is not in the registered set"
    key = member.public_key
    statement = {
        "domain": "agentrooms/vote/v2",
        "chain_id": terms.chain_id,
        "escrow": terms.escrow,
        "set_version": terms.set_version,
        "deal": terms.deal,
        "deal_hash": deal_hash(terms),
        "decision": vote.decision,
    }
    if not verify(key, canonical(statement), vote.signature):
        return f"its signature is not over {vote.decision} of these terms"
    annex = vote.annex
    if (vote.decision is Decision.REJECT) is not bool(annex.reasons):
        return f"it says {vote.decision} with reasons {list(annex.reasons)}"
    if list(annex.reasons) != sorted(set(annex.reasons)) or len(annex.reasons) > REASONS_MAX:
        return f"its reasons are not sorted, repeated, or more than {REASONS_MAX}: {list(annex.reasons)}"
    if not REASONS.issuperset(annex.reasons):
        return f"a reason is no word of verifiers: {', '.join(sorted(set(annex.reasons) - REASONS))!a}"
    seen = ["agentrooms/vote/v2/annex", vote.verifier, statement, vote.attestation, list(annex.reasons)]
    if not verify(key, canonical([*seen, annex.block, annex.at_ms]), annex.signature):
        return "its annex is not as it was signed"
    if vote.decision is Decision.REJECT:
        return "it rejects and attests" if vote.attestation else ""
    signer = recover(attestation_digest(terms), vote.attestation)
    return "" if signer == member.address else f"its attestation is by {signer}, not by {member.address}"


def _wrong_look(vote: Vote, certified_ms: int) -> str:
    """Checks that a verifier did not look at the chain after the round whose certificate holds its vote."""
    late = vote.annex.at_ms > certified_ms
    return f"it saw the chain at {vote.annex.at_ms} ms, the certificate is of {certified_ms} ms" if late else ""
