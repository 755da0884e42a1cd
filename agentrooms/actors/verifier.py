"""A verifier: looks at the chain for itself and decides each deal once, for ever."""

from __future__ import annotations

import msgspec
from nacl.signing import SigningKey

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.runtime import Send
from agentrooms.chain.port import Chain
from agentrooms.consensus.judgement import judge
from agentrooms.consensus.votes import cast
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Terms, Vote
from agentrooms.domain.mandate import SignedMandate
from agentrooms.events.vault import NotInVault, Vault, get_mandate
from agentrooms.services import failpoints

_VOTE = msgspec.json.Decoder(Vote)


class VerifierActor:
    """One of the seven; it trusts neither the room nor settlement, only signatures and the chain."""

    def __init__(
        self, name: str, key: SigningKey, chain: Chain, vault: Vault, memory: Vault, *, set_version: int
    ) -> None:
        """`memory` outlives the actor and keeps what it has decided."""
        self._name = name
        self._key = key
        self._chain = chain
        self._vault = vault
        self._memory = memory
        self._domain = (chain.chain_id, chain.escrow, set_version)

    def receive(self, message: Message) -> list[Send]:
        """Answers a question about a deal of its own chain, escrow and set with the one vote it has on it."""
        assert isinstance(message, AskVote)
        terms = message.terms
        if (terms.chain_id, terms.escrow, terms.set_version) != self._domain:
            return []
        vote = self._recall(terms.deal) or self._decide(terms, message.at_ms)
        return [Send(message.reply_to, VoteCast(vote))]

    def _recall(self, deal: str) -> Vote | None:
        """Returns the vote already given on a deal id, whatever its terms were."""
        try:
            return _VOTE.decode(self._memory.get(self._key_of(deal)))
        except NotInVault:
            return None

    def _decide(self, terms: Terms, at_ms: int) -> Vote:
        """Returns a new vote, stored before anyone sees it; where a former life's stands already, that one."""
        facts = self._chain.facts(terms, at_ms)
        buyer, seller = self._mandate(terms.buyer_mandate), self._mandate(terms.seller_mandate)
        reasons = judge(terms, buyer, seller, facts)
        vote = cast(self._key, self._name, terms, reasons, block=facts.block, at_ms=facts.at_ms)
        failpoints.hit("verifier.before_put")
        try:
            self._memory.put(self._key_of(terms.deal), canonical(vote))
        except NotInVault:
            stored = self._recall(terms.deal)
            assert stored is not None
            return stored
        failpoints.hit("verifier.after_put")
        return vote

    def _key_of(self, deal: str) -> str:
        return f"vote/{self._name}/{deal}"

    def _mandate(self, key: str) -> SignedMandate | None:
        try:
            return get_mandate(self._vault, key)
        except NotInVault:
            return None
