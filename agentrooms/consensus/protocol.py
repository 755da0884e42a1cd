"""The verifier protocol as a pure state machine: the collector of votes.

One ask and two re-asks to those who are silent, five seconds in all. Nobody leads, nothing is
ordered: the deal is fixed by both agents, so signed votes and a quorum are enough (consistent
broadcast with external validity, after Bracha 1987; quorums as in FastPay, Baudet et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agentrooms.consensus.evidence import accuse
from agentrooms.consensus.votes import is_valid
from agentrooms.domain.deal import Decision, Misbehaviour, Terms, Vote
from agentrooms.domain.verifier_set import QUORUM, VerifierSet

ASKS_MAX = 3
ASK_TIMEOUT_MS = 1_666  # three asks fit into five seconds


@dataclass(frozen=True, slots=True)
class Tally:
    """One deal's votes so far. `asks` counts how often the silent were asked."""

    terms: Terms
    verifiers: VerifierSet
    votes: dict[str, Vote] = field(default_factory=dict)
    evidence: tuple[Misbehaviour, ...] = ()
    asks: int = 0

    @property
    def silent(self) -> list[str]:
        """The verifiers that have not answered, in their set's order."""
        return [v.id for v in self.verifiers.verifiers if v.id not in self.votes]

    @property
    def decided(self) -> Decision | None:
        """The decision that has its quorum; of seven, two cannot have one each."""
        for decision in Decision:
            if sum(v.decision is decision for v in self.votes.values()) >= QUORUM:
                return decision
        return None

    def certificate(self) -> tuple[Vote, ...]:
        """Returns the votes sorted by verifier."""
        return tuple(self.votes[name] for name in sorted(self.votes))


def ask(tally: Tally) -> tuple[Tally, list[str]]:
    """Returns whom to ask now: the silent, at most three times."""
    if tally.asks >= ASKS_MAX:
        return tally, []
    return replace(tally, asks=tally.asks + 1), tally.silent


def receive(tally: Tally, vote: Vote) -> Tally:
    """Takes a vote: the first valid one of each member counts; what proves a member faulty becomes evidence, once."""
    known = tally.votes.get(vote.verifier)
    found = accuse(vote, known, tally.terms, tally.verifiers)
    if found is not None:
        if any(evidence.verifier == found.verifier and evidence.kind == found.kind for evidence in tally.evidence):
            return tally
        return replace(tally, evidence=(*tally.evidence, found))
    if known is None and is_valid(vote, tally.terms, tally.verifiers):
        return replace(tally, votes={**tally.votes, vote.verifier: vote})
    return tally
