"""The certificate of a deal, vote by vote, and accusations: each signature checked on its own."""

from __future__ import annotations

from collections.abc import Sequence

from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.evidence import is_proof
from agentrooms.consensus.votes import annex_bytes, attestation_digest, is_valid, statement_of
from agentrooms.domain import secp256k1
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import DealCertified, Decision, Terms, VerifierAccused, Vote
from agentrooms.domain.explain import explain
from agentrooms.domain.keys import verify
from agentrooms.domain.verifier_set import QUORUM, VERIFIERS, Verifier, VerifierSet, is_bound
from agentrooms.sim.evidence.records import OK, Accusation, CastVote, Checked, Member, Tally, bad, holds, unchecked

NO_SET = "the verifier set that the deal names is not registered here"
NOT_A_MEMBER = "it is not of the verifier set that the deal names"


def members(verifiers: VerifierSet | None) -> tuple[Member, ...]:
    """Returns the set's verifiers with both keys of each."""
    if verifiers is None:
        return ()
    return tuple(
        Member(one.id, one.public_key, one.address, holds(is_bound(one), "its keys have not signed for each other"))
        for one in verifiers.verifiers
    )


def votes(certified: DealCertified | None, terms: Terms, verifiers: VerifierSet | None) -> tuple[CastVote, ...]:
    """Returns the certificate's votes."""
    return tuple(_vote(vote, terms, verifiers) for vote in certified.votes) if certified is not None else ()


def tally(certified: DealCertified | None, terms: Terms, verifiers: VerifierSet | None) -> Tally | None:
    """Returns the certificate's count, None when there is no certificate."""
    if certified is None:
        return None
    counting = [vote for vote in certified.votes if verifiers is not None and is_valid(vote, terms, verifiers)]
    approvals = sum(vote.decision is Decision.APPROVE for vote in certified.votes)
    return Tally(
        decision=certified.decision,
        set_version=certified.set_version,
        approvals=approvals,
        rejections=len(certified.votes) - approvals,
        agreeing=len({vote.verifier for vote in counting if vote.decision is certified.decision}),
        needed=QUORUM,
        verifiers=VERIFIERS,
        checked=_certificate(certified, terms, verifiers),
    )


def accusations(
    accused: Sequence[VerifierAccused], terms: Terms, verifiers: VerifierSet | None
) -> tuple[Accusation, ...]:
    """Returns who was accused of what."""
    return tuple(
        Accusation(
            verifier=event.evidence.verifier,
            kind=event.evidence.kind,
            meaning=explain(event.evidence.kind),
            round=event.round,
            votes=event.evidence.votes,
            proven=unchecked(NO_SET)
            if verifiers is None
            else holds(is_proof(event.evidence, terms, verifiers), "the votes do not prove it"),
        )
        for event in accused
    )


def _certificate(certified: DealCertified, terms: Terms, verifiers: VerifierSet | None) -> Checked:
    if certified.set_version != terms.set_version:
        return bad(f"it is of set version {certified.set_version}, the deal names {terms.set_version}")
    if verifiers is None:
        return unchecked(NO_SET)
    wrong = check_certificate(certified.votes, certified.decision, terms, verifiers)
    return OK if wrong is None else bad(wrong)


def _vote(vote: Vote, terms: Terms, verifiers: VerifierSet | None) -> CastVote:
    annex, member = vote.annex, verifiers.member(vote.verifier) if verifiers is not None else None
    statement = statement_of(terms, vote.decision)
    seen = annex_bytes(vote.verifier, statement, vote.attestation, annex.reasons, annex.block, annex.at_ms)
    unknown = unchecked(NO_SET) if verifiers is None else bad(NOT_A_MEMBER)
    return CastVote(
        verifier=vote.verifier,
        decision=vote.decision,
        reasons=annex.reasons,
        meaning=explain(",".join(annex.reasons)),
        block=annex.block,
        at_ms=annex.at_ms,
        signature=vote.signature,
        statement=_by(member, canonical(statement), vote.signature, unknown),
        annex_signature=annex.signature,
        annex=_by(member, seen, annex.signature, unknown),
        attestation=vote.attestation,
        attested=_attested(vote, terms, member, unknown),
    )


def _by(member: Verifier | None, data: bytes, signature: str, unknown: Checked) -> Checked:
    if member is None:
        return unknown
    return holds(verify(member.public_key, data, signature), "its signature is not over this")


def _attested(vote: Vote, terms: Terms, member: Verifier | None, unknown: Checked) -> Checked:
    """Checks that an approval brings its verifier's own attestation, and a rejection none."""
    if vote.decision is Decision.REJECT:
        return holds(not vote.attestation, "it rejects and attests")
    if member is None:
        return unknown
    signer = secp256k1.recover(attestation_digest(terms), vote.attestation)
    return holds(signer == member.address, f"it is by {signer or 'nobody'}, not by {member.address}")
