"""A verifier decides a deal once, whatever dies, and stores its vote before anyone sees it."""

from __future__ import annotations

import msgspec

from agentrooms.actors.messages import AskVote, VoteCast
from agentrooms.actors.verifier import VerifierActor
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Decision, Vote
from agentrooms.events.vault import MemoryVault, NotInVault, Vault, put_mandate
from tests.domain import samples
from tests.domain.samples import BUYER, SELLER, SET, START_MS, TERMS

NAME = SET.verifiers[0].id


def verifier(memory: Vault, *, knows: bool = True) -> VerifierActor:
    """The first verifier of the set; one that knows no mandate must reject."""
    vault = MemoryVault()
    for mandate in (BUYER, SELLER) if knows else ():
        put_mandate(vault, mandate)
    return VerifierActor(NAME, samples.verifier_key(NAME), samples.ledger(), vault, memory, set_version=SET.version)


def vote(actor: VerifierActor) -> Vote:
    """Its answer on the sample deal."""
    (send,) = actor.receive(AskVote(TERMS, START_MS, "settlement"))
    assert isinstance(send.message, VoteCast)
    return send.message.vote


def test_a_verifier_decides_a_deal_once() -> None:
    """What it said it says again, also in its next life, also when it would decide otherwise by then."""
    memory = MemoryVault()
    first = vote(verifier(memory))
    assert first.decision is Decision.APPROVE
    assert vote(verifier(memory, knows=False)) == first


def test_two_lives_at_once_give_one_vote() -> None:
    """The one that stores first has decided; the other says the same."""
    other = vote(verifier(MemoryVault()))

    class Raced(MemoryVault):
        """Has nothing when it is first asked; then the other life stores."""

        raced = False

        def get(self, key: str) -> bytes:
            if not self.raced:
                self.raced = True
                self.put(key, canonical(other))
                raise NotInVault("not yet")
            return super().get(key)

    assert vote(verifier(Raced(), knows=False)) == other


def test_a_verifier_answers_nothing_of_another_chain_escrow_or_set() -> None:
    """What is not its own it leaves alone."""
    for changed in ({"chain_id": 1}, {"escrow": "0x" + "1" * 40}, {"set_version": 2}):
        terms = msgspec.structs.replace(TERMS, **changed)
        assert verifier(MemoryVault()).receive(AskVote(terms, START_MS, "settlement")) == []
