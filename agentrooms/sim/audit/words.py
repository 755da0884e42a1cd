"""What agents and verifiers said with their own keys: words for deals, and the proofs against faulty verifiers."""

from __future__ import annotations

from typing import ClassVar

from agentrooms.consensus.evidence import is_proof
from agentrooms.domain import secp256k1
from agentrooms.domain.acceptance import is_accepted
from agentrooms.domain.deal import (
    Acceptance,
    DealFailed,
    DealLocked,
    DealVerifying,
    FailReason,
    Terms,
    VerifierAccused,
    deal_digest,
)
from agentrooms.domain.verifier_set import VerifierSet, VerifierSetRegistered, evolve
from agentrooms.sim.audit.source import Source
from agentrooms.sim.audit.walk import Handler, Line, Rule

INVALID = "acceptance_invalid"  # how verifiers name a word that is none, behind the party's role


class Words(Rule):
    """Both agents of a deal gave their word for it, and whoever is accused of something did it."""

    name: ClassVar[str] = "words"
    compared: ClassVar[str] = "both agents' keys signed every deal; every accusation of a verifier is proved"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._sets: dict[int, VerifierSet] = {}
        self._terms: dict[str, Terms] = {}
        self._wrong: dict[str, list[tuple[int, str]]] = {}

    def handlers(self) -> dict[str, Handler]:
        """Sets, deals, their words, their ends, and accusations."""
        return {
            "verifiers.registered": self._registered,
            "deal.locked": self._locked,
            "deal.verifying": self._verifying,
            "deal.failed": self._failed,
            "verifier.accused": self._accused,
        }

    def finish(self) -> None:
        """Tells of the words that are none, but not of those for which verifiers rejected the deal."""
        for wrongs in self._wrong.values():
            for number, wrong in wrongs:
                self.found.wrong(number, wrong)

    def _registered(self, line: Line) -> None:
        event: VerifierSetRegistered = line.event
        self._sets[event.version] = evolve(VerifierSet(), event)

    def _locked(self, line: Line) -> None:
        event: DealLocked = line.event
        self._terms[event.terms.deal] = event.terms

    def _verifying(self, line: Line) -> None:
        event: DealVerifying = line.event
        terms = self._terms.get(event.deal)
        if terms is None:
            if not self.partial:
                self.found.wrong(line.number, f"deal {event.deal}, which agents signed, was never locked")
            return
        parties = {terms.buyer: terms.buyer_mandate, terms.seller: terms.seller_mandate}
        agents = [word.agent for word in event.acceptances]
        if agents != list(parties):
            self.found.wrong(line.number, f"deal {event.deal} is signed by {agents}, not by {list(parties)}")
            return
        for word in event.acceptances:
            self.found.count += 1
            wrong = self._wrong_word(word, terms, parties[word.agent])
            if wrong:
                what = f"the word of agent {word.agent} for deal {event.deal}: {wrong}"
                self._wrong.setdefault(event.deal, []).append((line.number, what))

    def _wrong_word(self, word: Acceptance, terms: Terms, mandate_hash: str) -> str:
        """Returns what is wrong with a word; without the mandate nobody knows whose keys are due."""
        if secp256k1.recover(deal_digest(terms), word.session) is None:
            return "its session key's is no signature"
        signed = self.vault.mandate(mandate_hash) if self.vault is not None else None
        if signed is None or is_accepted(word, terms, signed.mandate):
            return ""  # a mandate that is not there is found by the rule on mandates
        return "it is not signed with both keys that the mandate names"

    def _failed(self, line: Line) -> None:
        event: DealFailed = line.event
        if event.reason is FailReason.REJECTED and INVALID in event.detail:
            self._wrong.pop(event.deal, None)

    def _accused(self, line: Line) -> None:
        event: VerifierAccused = line.event
        terms = self._terms.get(event.deal)
        if terms is None and self.partial:
            return
        self.found.count += 1
        known = self._sets.get(terms.set_version) if terms is not None else None
        if terms is None or known is None or not is_proof(event.evidence, terms, known):
            accused = f"{event.evidence.verifier} is accused of {event.evidence.kind}"
            self.found.wrong(line.number, f"{accused} on deal {event.deal}, and its votes do not prove it")
