"""A verifier decides a deal once, whatever dies, and stores its vote before anyone sees it."""

from __future__ import annotations

import msgspec

from agentrooms.actors.messages import AskVote, VoteCast
from agentrooms.actors.plans import verifier_keys
from agentrooms.actors.verifier import VerifierActor
from agentrooms.chain.ledger import LedgerChain
from agentrooms.chain.port import ChainUnreachable, ChainView
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.consensus.votes import is_valid
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Decision, Terms, Vote
from agentrooms.events.vault import MemoryVault, NotInVault, Vault
from tests.domain import samples
from tests.domain.samples import SET, START_MS, TERMS

NAME = SET.verifiers[0].id


def verifier(memory: Vault, *, chain: ChainView | None = None) -> VerifierActor:
    """The first verifier of the set."""
    keys = verifier_keys(samples.KEY, NAME)
    return VerifierActor(NAME, keys, chain or samples.ledger(), memory, set_version=SET.version)


def asked(terms: Terms = TERMS, *, knows: bool = True) -> AskVote:
    """The question about a deal; without mandates, an honest verifier must reject."""
    case = samples.case_of(terms) if knows else samples.case_of(terms, None, None)
    return AskVote(case, START_MS, "settlement")


def vote(actor: VerifierActor, *, knows: bool = True) -> Vote:
    """Its answer on the sample deal."""
    (send,) = actor.receive(asked(knows=knows))
    assert isinstance(send.message, VoteCast)
    return send.message.vote


def test_a_verifier_decides_a_deal_once() -> None:
    """What it said it says again, also in its next life, also when it would decide otherwise by then."""
    memory = MemoryVault()
    first = vote(verifier(memory))
    assert first.decision is Decision.APPROVE
    assert vote(verifier(memory), knows=False) == first


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

    assert vote(verifier(Raced()), knows=False) == other


def test_a_verifier_answers_nothing_of_another_chain_escrow_or_set() -> None:
    """What is not its own it leaves alone."""
    for changed in ({"chain_id": 1}, {"escrow": "0x" + "1" * 40}, {"set_version": 2}):
        terms = msgspec.structs.replace(TERMS, **changed)
        assert verifier(MemoryVault()).receive(asked(terms)) == []


class Unsteady(LedgerChain):
    """A chain that does not answer the first questions."""

    silent = 2

    def facts(self, case: Case, at_ms: int) -> Facts:
        if self.silent:
            self.silent -= 1
            raise ChainUnreachable("no answer")
        return super().facts(case, at_ms)


def test_a_chain_that_does_not_answer_makes_a_verifier_silent() -> None:
    """It has decided nothing and remembers nothing; asked again it looks again, and decides by what it then sees."""
    memory = MemoryVault()
    chain = Unsteady()
    actor = verifier(memory, chain=chain)
    assert [actor.receive(asked()), actor.receive(asked())] == [[], []]
    assert memory.export() == b""
    late = vote(actor)
    assert late.annex.reasons != ()
    assert is_valid(late, TERMS, SET)
    chain.silent = 9
    assert vote(actor) == late


def test_a_word_that_is_not_the_agents_is_a_reason_to_reject() -> None:
    """The verifier believes neither the room nor settlement that both agreed."""
    case = msgspec.structs.replace(samples.case_of(), acceptances=samples.acceptances(TERMS, "buyer", "buyer"))
    (send,) = verifier(MemoryVault()).receive(AskVote(case, START_MS, "settlement"))
    assert isinstance(send.message, VoteCast)
    assert send.message.vote.annex.reasons == ("seller_acceptance_invalid",)
