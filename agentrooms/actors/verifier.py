"""A verifier: looks at the chain for itself and decides each deal once, for ever."""

from __future__ import annotations

from nacl.signing import SigningKey

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.runtime import Send
from agentrooms.chain.port import Chain
from agentrooms.consensus.judgement import judge
from agentrooms.consensus.protocol import Memory
from agentrooms.consensus.votes import cast
from agentrooms.domain.deal import Terms, Vote
from agentrooms.domain.mandate import SignedMandate
from agentrooms.events.vault import NotInVault, Vault, get_mandate


class VerifierActor:
    """One of the seven; it trusts neither the room nor settlement, only signatures and the chain."""

    def __init__(
        self,
        name: str,
        key: SigningKey,
        chain: Chain,
        vault: Vault,
        *,
        set_version: int,
        kept: dict[str, Vote] | None = None,
    ) -> None:
        """`kept` outlives the actor and holds what it has decided; without it the memory ends with the process."""
        self._name = name
        self._key = key
        self._chain = chain
        self._vault = vault
        self._domain = (chain.chain_id, chain.escrow, set_version)
        self._kept = kept if kept is not None else {}
        self._memory = Memory(dict(self._kept))

    def receive(self, message: Message) -> list[Send]:
        """Answers a question about a deal of its own chain, escrow and set with the one vote it has on it."""
        assert isinstance(message, AskVote)
        terms = message.terms
        if (terms.chain_id, terms.escrow, terms.set_version) != self._domain:
            return []
        vote = self._memory.recall(terms.deal)
        if vote is None:
            vote = self._decide(terms, message.at_ms)
            self._memory = self._memory.remember(terms.deal, vote)
            self._kept[terms.deal] = vote
        return [Send(message.reply_to, VoteCast(vote))]

    def _decide(self, terms: Terms, at_ms: int) -> Vote:
        facts = self._chain.facts(terms, at_ms)
        buyer, seller = self._mandate(terms.buyer_mandate), self._mandate(terms.seller_mandate)
        reasons = judge(terms, buyer, seller, facts)
        return cast(self._key, self._name, terms, reasons, block=facts.block, at_ms=facts.at_ms)

    def _mandate(self, key: str) -> SignedMandate | None:
        try:
            return get_mandate(self._vault, key)
        except NotInVault:
            return None
