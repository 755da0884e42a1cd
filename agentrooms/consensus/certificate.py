"""Quorum certificates: at least five distinct members of one set version over the same statement."""

from __future__ import annotations

from collections.abc import Iterable

from agentrooms.consensus.votes import is_valid
from agentrooms.domain.deal import Decision, Terms, Vote
from agentrooms.domain.verifier_set import QUORUM, VerifierSet


def check_certificate(votes: Iterable[Vote], decision: Decision, terms: Terms, verifiers: VerifierSet) -> str | None:
    """Returns what is wrong with a certificate, None when it proves the decision.

    A missing vote counts as no: the quorum is of the seven, not of those who answered.
    """
    votes = list(votes)
    names = [vote.verifier for vote in votes]
    if len(set(names)) != len(names):
        return "a verifier is counted twice"
    if names != sorted(names):
        return "the votes are not sorted by verifier"
    for vote in votes:
        if not is_valid(vote, terms, verifiers):
            return f"the vote of {vote.verifier} is not valid for this deal"
    agreeing = sum(vote.decision is decision for vote in votes)
    if agreeing < QUORUM:
        return f"{agreeing} of {QUORUM} votes say {decision}"
    return None
