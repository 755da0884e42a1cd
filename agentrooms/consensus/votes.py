"""Votes: all verifiers sign the same statement; what each saw is a separately signed annex."""

from __future__ import annotations

import msgspec
from nacl.signing import SigningKey

from agentrooms.consensus.judgement import REASONS
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import ANNEX_REASONS_MAX, Annex, Decision, Terms, Vote, deal_hash
from agentrooms.domain.keys import sign, verify
from agentrooms.domain.verifier_set import VerifierSet

DOMAIN = "agentrooms/vote/v1"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a vote means, equal for all who decide alike; bound to one chain, escrow and set version."""

    domain: str = DOMAIN
    chain_id: int
    escrow: str
    set_version: int
    deal: str
    deal_hash: str
    decision: Decision


def statement_of(terms: Terms, decision: Decision) -> Statement:
    """Returns the statement about these terms."""
    return Statement(
        chain_id=terms.chain_id,
        escrow=terms.escrow,
        set_version=terms.set_version,
        deal=terms.deal,
        deal_hash=deal_hash(terms),
        decision=decision,
    )


def cast(key: SigningKey, verifier: str, terms: Terms, reasons: tuple[str, ...], *, block: int, at_ms: int) -> Vote:
    """Returns a verifier's signed vote: approval when it found no reason against the deal."""
    decision = Decision.REJECT if reasons else Decision.APPROVE
    statement = statement_of(terms, decision)
    reasons = reasons[:ANNEX_REASONS_MAX]
    annex = _annex_bytes(verifier, statement, reasons, block, at_ms)
    return Vote(
        annex=Annex(at_ms, block, reasons, sign(key, annex)),
        decision=decision,
        signature=sign(key, canonical(statement)),
        verifier=verifier,
    )


def is_valid(vote: Vote, terms: Terms, verifiers: VerifierSet) -> bool:
    """Tells whether a vote is by a member of the terms' set version, over these terms, both signatures good.

    Its reasons must be words that verifiers know, few, and there for a rejection only: a member may be hostile.
    """
    if not _is_well_formed(vote):
        return False
    key = verifiers.key_of(vote.verifier)
    if key is None or verifiers.version != terms.set_version:
        return False
    if (verifiers.chain_id, verifiers.escrow) != (terms.chain_id, terms.escrow):
        return False
    statement = statement_of(terms, vote.decision)
    annex = vote.annex
    seen = _annex_bytes(vote.verifier, statement, annex.reasons, annex.block, annex.at_ms)
    return verify(key, canonical(statement), vote.signature) and verify(key, seen, annex.signature)


def _is_well_formed(vote: Vote) -> bool:
    reasons = vote.annex.reasons
    if len(reasons) > ANNEX_REASONS_MAX or list(reasons) != sorted(set(reasons)):
        return False
    return bool(reasons) is (vote.decision is Decision.REJECT) and all(reason in REASONS for reason in reasons)


def _annex_bytes(verifier: str, statement: Statement, reasons: tuple[str, ...], block: int, at_ms: int) -> bytes:
    return canonical([DOMAIN + "/annex", verifier, statement, list(reasons), block, at_ms])
