"""Votes: all verifiers sign the same statement; what each saw is a separately signed annex.

Who approves adds an attestation, the same word in the escrow's own terms (EIP-712). The annex covers it, so an
attestation that the escrow would not count is its verifier's own doing and can be shown to anybody.
"""

from __future__ import annotations

import msgspec
from nacl.signing import SigningKey

from agentrooms.consensus.judgement import REASONS
from agentrooms.domain import eip712, secp256k1
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import ANNEX_REASONS_MAX, Annex, Decision, Terms, Vote, deal_hash
from agentrooms.domain.keys import sign, verify
from agentrooms.domain.verifier_set import Verifier, VerifierSet, member
from agentrooms.errors import InvalidInput

VOTE_BYTES_MAX = 4_096  # of a vote as canonical JSON; an honest one has less than 1,000
NUMBER_MAX = 2**53 - 1  # of a block or a time: what every reader of a log can hold
DOMAIN = "agentrooms/vote/v2"
_ATTESTATION = "Attestation(bytes32 deal,uint256 setVersion)"


class VerifierKeys(msgspec.Struct, frozen=True):
    """A verifier's two private keys, 32 bytes each."""

    statement: bytes
    attestation: bytes

    def member(self, name: str) -> Verifier:
        """Returns the verifier's public side."""
        return member(name, SigningKey(self.statement), self.attestation)


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


def attestation_digest(terms: Terms) -> bytes:
    """Returns what an approving verifier signs for the escrow."""
    hashed = eip712.struct_hash(_ATTESTATION, bytes.fromhex(deal_hash(terms)), eip712.uint(terms.set_version))
    return eip712.digest(terms.domain, hashed)


def cast(keys: VerifierKeys, verifier: str, terms: Terms, reasons: tuple[str, ...], *, block: int, at_ms: int) -> Vote:
    """Returns a verifier's signed vote: approval when it found no reason against the deal."""
    decision = Decision.REJECT if reasons else Decision.APPROVE
    attestation = "" if reasons else secp256k1.sign(keys.attestation, attestation_digest(terms))
    return signed_vote(
        keys, verifier, statement_of(terms, decision), attestation, reasons[:ANNEX_REASONS_MAX], block, at_ms
    )


def signed_vote(
    keys: VerifierKeys,
    verifier: str,
    statement: Statement,
    attestation: str,
    reasons: tuple[str, ...],
    block: int,
    at_ms: int,
) -> Vote:
    """Returns a vote of any content with good signatures; what a verifier should say, `cast` knows."""
    key = SigningKey(keys.statement)
    annex = annex_bytes(verifier, statement, attestation, reasons, block, at_ms)
    return Vote(
        annex=Annex(at_ms, block, reasons, sign(key, annex)),
        attestation=attestation,
        decision=statement.decision,
        signature=sign(key, canonical(statement)),
        verifier=verifier,
    )


def is_authentic(vote: Vote, terms: Terms, verifiers: VerifierSet) -> bool:
    """Tells whether a member of the terms' set version said exactly this about these terms, sensible or not.

    What no log could hold is nobody's word, whoever signed it: a member may be hostile.
    """
    key = verifiers.key_of(vote.verifier)
    if key is None or (verifiers.version, verifiers.domain) != (terms.set_version, terms.domain):
        return False
    if not _fits(vote):
        return False
    statement = statement_of(terms, vote.decision)
    annex = vote.annex
    seen = annex_bytes(vote.verifier, statement, vote.attestation, annex.reasons, annex.block, annex.at_ms)
    return verify(key, canonical(statement), vote.signature) and verify(key, seen, annex.signature)


def fault_of(vote: Vote, terms: Terms, verifiers: VerifierSet) -> str:
    """Returns what no honest verifier would say, "" for a vote that counts. Only its own authentic votes accuse one."""
    reasons, approving = vote.annex.reasons, vote.decision is Decision.APPROVE
    if len(reasons) > ANNEX_REASONS_MAX or list(reasons) != sorted(set(reasons)) or not REASONS.issuperset(reasons):
        return "reasons_malformed"
    if approving is bool(reasons):
        return "reasons_contradict_decision"
    if not approving:
        return "attestation_of_rejected" if vote.attestation else ""
    member_ = verifiers.member(vote.verifier)
    signer = secp256k1.recover(attestation_digest(terms), vote.attestation)
    return "" if member_ is not None and signer == member_.address else "attestation_invalid"


def is_valid(vote: Vote, terms: Terms, verifiers: VerifierSet) -> bool:
    """Tells whether a vote counts: a member's own word about these terms, in itself consistent.

    Its reasons must be words that verifiers know, few, and there for a rejection only: a member may be hostile.
    """
    return is_authentic(vote, terms, verifiers) and not fault_of(vote, terms, verifiers)


def _fits(vote: Vote) -> bool:
    """Tells whether a vote can be written down: not too long, in one spelling, its numbers within what readers hold."""
    if not (0 <= vote.annex.block <= NUMBER_MAX and 0 <= vote.annex.at_ms <= NUMBER_MAX):
        return False
    try:
        return len(canonical(vote)) <= VOTE_BYTES_MAX
    except (InvalidInput, UnicodeEncodeError):
        return False


def annex_bytes(
    verifier: str, statement: Statement, attestation: str, reasons: tuple[str, ...], block: int, at_ms: int
) -> bytes:
    """Returns what a verifier signs of what it saw."""
    return canonical([DOMAIN + "/annex", verifier, statement, attestation, list(reasons), block, at_ms])
