"""Evidence: what proves to anybody that a verifier is faulty. It holds the verifier's own signed votes.

A vote that is not authentic proves nothing: anybody can write one. A verifier that merely decides wrongly, or
is silent, leaves no proof either; the quorum bears with up to two of those.
"""

from __future__ import annotations

from agentrooms.consensus.votes import fault_of, is_authentic
from agentrooms.domain.deal import Misbehaviour, Terms, Vote
from agentrooms.domain.verifier_set import VerifierSet

EQUIVOCATION = "equivocation"


def accuse(vote: Vote, known: Vote | None, terms: Terms, verifiers: VerifierSet) -> Misbehaviour | None:
    """Returns what a vote proves against its verifier, alone or beside the one `known` before; None for nothing."""
    if not is_authentic(vote, terms, verifiers):
        return None
    fault = fault_of(vote, terms, verifiers)
    if fault:
        return Misbehaviour(kind=fault, verifier=vote.verifier, votes=(vote,))
    if known is not None and known.decision is not vote.decision:
        return Misbehaviour(kind=EQUIVOCATION, verifier=vote.verifier, votes=(known, vote))
    return None


def is_proof(evidence: Misbehaviour, terms: Terms, verifiers: VerifierSet) -> bool:
    """Tells whether evidence proves what it says, from the terms and the registered set alone."""
    votes = evidence.votes
    if not votes or any(vote.verifier != evidence.verifier for vote in votes):
        return False
    known = votes[0] if len(votes) > 1 else None
    if known is not None and accuse(known, None, terms, verifiers) is not None:
        return False  # then the first vote alone is the proof, of another kind
    if known is not None and not is_authentic(known, terms, verifiers):
        return False
    return accuse(votes[-1], known, terms, verifiers) == evidence
