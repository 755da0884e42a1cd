"""Verifiers that misbehave: around a real one, with its own keys, whatever a hostile operator or a dying machine does.

For the tests of the protocol and for people who want to see it (`agentrooms verifiers demo`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import msgspec

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.plans import Parts, VerifierPlan
from agentrooms.actors.runtime import Actor, Send
from agentrooms.consensus.judgement import REASONS
from agentrooms.consensus.protocol import ASK_TIMEOUT_MS
from agentrooms.consensus.votes import (
    NUMBER_MAX,
    VOTE_BYTES_MAX,
    VerifierKeys,
    attestation_digest,
    cast,
    signed_vote,
    statement_of,
)
from agentrooms.domain import secp256k1
from agentrooms.domain.deal import Decision, Terms, Vote
from agentrooms.events.vault import MemoryVault

LATE_MS = ASK_TIMEOUT_MS + ASK_TIMEOUT_MS // 2  # an answer that comes in the midst of the next ask
COPIES = 5
SLANDER = "seller_does_not_own_item"  # what a verifier says that rejects everything


class Fault(StrEnum):
    """What is wrong with a verifier."""

    SILENT = "silent"
    SLOW = "slow"
    CRASHING = "crashing"
    FORGETFUL = "forgetful"
    EQUIVOCATING = "equivocating"
    TWO_FACED = "two_faced"
    ALWAYS_YES = "always_yes"
    ALWAYS_NO = "always_no"
    BAD_SIGNATURE = "bad_signature"
    BAD_ATTESTATION = "bad_attestation"
    WRONG_SET = "wrong_set"
    WRONG_CHAIN = "wrong_chain"
    REPLAYING = "replaying"
    DUPLICATING = "duplicating"
    MALFORMED = "malformed"


ABOUT = {
    Fault.SILENT: "never answers",
    Fault.SLOW: "answers when it has been asked again",
    Fault.CRASHING: "dies once it has stored its vote, before it sends it; comes back with its memory",
    Fault.FORGETFUL: "dies after each answer and remembers nothing; may decide anew",
    Fault.EQUIVOCATING: "approves when asked for the first time, rejects the next time",
    Fault.TWO_FACED: "approves and rejects at once",
    Fault.ALWAYS_YES: "approves whatever it sees",
    Fault.ALWAYS_NO: "rejects whatever it sees, and blames the seller",
    Fault.BAD_SIGNATURE: "signs badly",
    Fault.BAD_ATTESTATION: "attests with a key that is not its own",
    Fault.WRONG_SET: "signs for another version of the set",
    Fault.WRONG_CHAIN: "signs for another chain",
    Fault.REPLAYING: "sends what it said of another deal",
    Fault.DUPLICATING: "sends its vote many times, also in another's name",
    Fault.MALFORMED: "sends what cannot be written down, and far too much",
}
"""What each does, for people."""

PROVABLE = frozenset({Fault.EQUIVOCATING, Fault.TWO_FACED, Fault.FORGETFUL, Fault.BAD_ATTESTATION, Fault.MALFORMED})
"""Those whose own signed words may show that they are faulty. The others leave no proof, and nobody accuses them."""


class FaultyVerifier:
    """One verifier with a fault. Honest inside: what it does wrong, it does to what the real one says."""

    def __init__(self, fault: Fault, plan: VerifierPlan, address: str, parts: Parts) -> None:
        self.plan = plan
        self._fault = fault
        self._address = address
        self._parts = parts
        self._honest = plan.make(address, parts)
        self._asks: Counter[str] = Counter()
        self._first: tuple[str, Vote] | None = None

    @property
    def keys(self) -> VerifierKeys:
        """Its own two keys; more than those no liar has."""
        return self.plan.keys

    def receive(self, message: Message) -> list[Send]:
        """Answers a question in its way."""
        assert isinstance(message, AskVote)
        self._asks[message.terms.deal] += 1
        return _BEHAVIOURS[self._fault](self, message)

    def asked(self, terms: Terms) -> int:
        """Returns how often it was asked about a deal, this time included."""
        return self._asks[terms.deal]

    def honest(self, message: AskVote) -> list[Send]:
        """Returns what the real one answers: nothing where it could not look at the chain."""
        return self._honest.receive(message)

    def reborn(self, *, remembering: bool) -> None:
        """Makes the real one anew, with its memory or with none."""
        parts = self._parts
        if not remembering:
            parts = Parts(parts.store, parts.vault, MemoryVault(), parts.chain, parts.narrator)
        self._honest = self.plan.make(self._address, parts)

    def earlier(self, deal: str, vote: Vote) -> Vote | None:
        """Returns the first vote it ever came to, None when that was on this deal; keeps `vote` as the first."""
        self._first = self._first or (deal, vote)
        return self._first[1] if self._first[0] != deal else None


class FaultyPlan(msgspec.Struct, frozen=True):
    """Makes one faulty verifier, in any process."""

    fault: Fault
    plan: VerifierPlan

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the verifier."""
        return FaultyVerifier(self.fault, self.plan, address, parts)


Behaviour = Callable[[FaultyVerifier, AskVote], list[Send]]


def _silent(_liar: FaultyVerifier, _asked: AskVote) -> list[Send]:
    return []


def _slow(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    return [send._replace(delay_ms=LATE_MS) for send in liar.honest(asked)]


def _crashing(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    answer = liar.honest(asked)
    liar.reborn(remembering=True)
    return answer if liar.asked(asked.terms) > 1 else []


def _forgetful(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    liar.reborn(remembering=False)
    return liar.honest(asked)


def _equivocating(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    return _say(asked, _yes(liar, asked) if liar.asked(asked.terms) % 2 else _no(liar, asked))


def _two_faced(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    return _say(asked, _yes(liar, asked), _no(liar, asked))


def _always_yes(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    return _say(asked, _yes(liar, asked))


def _always_no(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    return _say(asked, _no(liar, asked))


def _bad_signature(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    return _changed(liar, asked, lambda vote: [msgspec.structs.replace(vote, signature=vote.signature[::-1])])


def _bad_attestation(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    other = secp256k1.derive_secret(liar.keys.attestation, "attestation", "another")
    attestation = secp256k1.sign(other, attestation_digest(asked.terms))
    return _changed(liar, asked, lambda vote: [_signed(liar, asked.terms, vote, attestation=attestation)])


def _wrong_set(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    terms = msgspec.structs.replace(asked.terms, set_version=asked.terms.set_version + 1)
    return _say(asked, _yes(liar, asked, terms))


def _wrong_chain(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    terms = msgspec.structs.replace(asked.terms, chain_id=asked.terms.chain_id + 1)
    return _say(asked, _yes(liar, asked, terms))


def _replaying(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    elsewhere = msgspec.structs.replace(asked.terms, deal=f"{asked.terms.deal}x")
    return _changed(liar, asked, lambda vote: [liar.earlier(asked.terms.deal, vote) or _yes(liar, asked, elsewhere)])


def _duplicating(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    def copies(vote: Vote) -> list[Vote]:
        others = (f"verifier_{n}" for n in range(1, COPIES + 1) if f"verifier_{n}" != vote.verifier)
        return [vote] * COPIES + [_signed(liar, asked.terms, vote, name=other) for other in others]

    return _changed(liar, asked, copies)


def _malformed(liar: FaultyVerifier, asked: AskVote) -> list[Send]:
    def broken(vote: Vote) -> list[Vote]:
        unspeakable = (("e\u0301",), ("\ud800",), ("x" * VOTE_BYTES_MAX,), ("no such reason",))
        annexes = [msgspec.structs.replace(vote.annex, reasons=reasons) for reasons in unspeakable]
        annexes += [msgspec.structs.replace(vote.annex, block=block) for block in (-1, NUMBER_MAX + 1)]
        unsigned = [msgspec.structs.replace(vote, annex=annex) for annex in annexes]
        many = _signed(liar, asked.terms, vote, reasons=tuple(sorted(REASONS)))
        return [*unsigned, many, _signed(liar, asked.terms, vote, reasons=("x" * VOTE_BYTES_MAX,))]

    return _changed(liar, asked, broken)


_BEHAVIOURS: dict[Fault, Behaviour] = {
    Fault.SILENT: _silent,
    Fault.SLOW: _slow,
    Fault.CRASHING: _crashing,
    Fault.FORGETFUL: _forgetful,
    Fault.EQUIVOCATING: _equivocating,
    Fault.TWO_FACED: _two_faced,
    Fault.ALWAYS_YES: _always_yes,
    Fault.ALWAYS_NO: _always_no,
    Fault.BAD_SIGNATURE: _bad_signature,
    Fault.BAD_ATTESTATION: _bad_attestation,
    Fault.WRONG_SET: _wrong_set,
    Fault.WRONG_CHAIN: _wrong_chain,
    Fault.REPLAYING: _replaying,
    Fault.DUPLICATING: _duplicating,
    Fault.MALFORMED: _malformed,
}


def _yes(liar: FaultyVerifier, asked: AskVote, terms: Terms | None = None) -> Vote:
    """Returns an approval of the deal asked about, or of other terms, without a look at the chain."""
    return cast(liar.keys, liar.plan.name, terms if terms is not None else asked.terms, (), block=0, at_ms=asked.at_ms)


def _no(liar: FaultyVerifier, asked: AskVote) -> Vote:
    return cast(liar.keys, liar.plan.name, asked.terms, (SLANDER,), block=0, at_ms=asked.at_ms)


def _say(asked: AskVote, *votes: Vote) -> list[Send]:
    return [Send(asked.reply_to, VoteCast(vote)) for vote in votes]


def _changed(liar: FaultyVerifier, asked: AskVote, change: Callable[[Vote], list[Vote]]) -> list[Send]:
    """Returns what it makes of the real one's answer."""
    answers = [send.message for send in liar.honest(asked)]
    return [send for one in answers if isinstance(one, VoteCast) for send in _say(asked, *change(one.vote))]


def _signed(
    liar: FaultyVerifier,
    terms: Terms,
    vote: Vote,
    *,
    name: str = "",
    attestation: str | None = None,
    reasons: tuple[str, ...] | None = None,
) -> Vote:
    """Returns a vote with changes that the liar has signed itself."""
    return signed_vote(
        liar.keys,
        name or vote.verifier,
        statement_of(terms, Decision(vote.decision)),
        vote.attestation if attestation is None else attestation,
        vote.annex.reasons if reasons is None else reasons,
        vote.annex.block,
        vote.annex.at_ms,
    )
