"""A verifier: looks at the chain for itself and decides each deal once, for ever."""

from __future__ import annotations

import msgspec

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.runtime import Send
from agentrooms.chain.port import ChainUnreachable, ChainView
from agentrooms.consensus.judgement import judge
from agentrooms.consensus.votes import VerifierKeys, cast
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Vote
from agentrooms.errors import InvalidInput
from agentrooms.events.vault import NotInVault, Vault
from agentrooms.services import failpoints

_VOTE = msgspec.json.Decoder(Vote)


class VerifierActor:
    """One of the seven; it trusts neither the room nor settlement, only signatures and the chain."""

    def __init__(self, name: str, keys: VerifierKeys, chain: ChainView, memory: Vault, *, set_version: int) -> None:
        """`memory` outlives the actor and keeps what it has decided."""
        self._name = name
        self._keys = keys
        self._chain = chain
        self._memory = memory
        self._domain = (chain.site.domain, set_version)

    def receive(self, message: Message) -> list[Send]:
        """Answers a question about a deal of its own chain, escrow and set with the one vote it has on it."""
        assert isinstance(message, AskVote)
        terms = message.terms
        if (terms.domain, terms.set_version) != self._domain:
            return []
        try:
            vote = self._recall(terms.deal) or self._decide(message)
        except (ChainUnreachable, InvalidInput):
            return []  # transient trouble is silence, never a rejection; so is the answer to what are no terms
        return [Send(message.reply_to, VoteCast(vote))]

    def _recall(self, deal: str) -> Vote | None:
        """Returns the vote already given on a deal id, whatever its terms were."""
        try:
            return _VOTE.decode(self._memory.get(self._key_of(deal)))
        except NotInVault:
            return None

    def _decide(self, asked: AskVote) -> Vote:
        """Returns a new vote, stored before anyone sees it; where a former life's stands already, that one."""
        terms, case = asked.terms, asked.case
        facts = self._chain.facts(case, asked.at_ms)
        vote = cast(self._keys, self._name, terms, judge(case, facts), block=facts.block, at_ms=facts.at_ms)
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
