"""What proves a deal, as plain data: each signature beside whether it holds. Money in micro-USDC, times in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from agentrooms.domain.deal import DealState, Decision, Terms, Vote
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.terms import Role

OTHER = "it is not the certified deal with these mandates and votes"
NOT_KNOWN = "what it should be is not known: the vault lacks a mandate"


class Mark(StrEnum):
    """What came of one check."""

    OK = "ok"
    BAD = "bad"
    UNCHECKED = "unchecked"


class Checked(msgspec.Struct, frozen=True):
    """One check; `why` says what is wrong, or what is missing for checking it."""

    mark: Mark
    why: str = ""


OK = Checked(Mark.OK)


def bad(why: str) -> Checked:
    """Returns the result of a check that failed."""
    return Checked(Mark.BAD, why)


def unchecked(why: str) -> Checked:
    """Returns the result of a check that could not be made."""
    return Checked(Mark.UNCHECKED, why)


def holds(so: bool, why_not: str) -> Checked:
    """Returns OK, or that it failed."""
    return OK if so else bad(why_not)


class Step(msgspec.Struct, frozen=True):
    """A deal went into a state; the time is room time."""

    state: str
    round: int
    at_ms: int


class Word(msgspec.Struct, frozen=True):
    """An agent's word for the deal: both signatures. `session_key` is the address that the first one recovers to."""

    session: str
    session_key: str
    session_checked: Checked
    identity: str
    identity_checked: Checked


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Buyer or seller. `mandate` is there only when secrets were asked for and the vault is at hand.

    `signed` is about the wallet's signature of the mandate, `within` about the deal lying within its limits.
    """

    role: Role
    agent: str
    name: str
    avatar: str
    wallet: str
    mandate_hash: str
    signed: Checked
    within: Checked
    word: Word | None
    mandate: Mandate | None = None


class Member(msgspec.Struct, frozen=True):
    """One verifier of the set; `bound` is whether its two keys have signed for each other."""

    verifier: str
    public_key: str
    address: str
    bound: Checked


class CastVote(msgspec.Struct, frozen=True, kw_only=True):
    """One vote of the certificate. `block` and `at_ms` are what the verifier says it looked at."""

    verifier: str
    decision: Decision
    reasons: tuple[str, ...]
    meaning: str
    block: int
    at_ms: int
    signature: str
    statement: Checked
    annex_signature: str
    annex: Checked
    attestation: str
    attested: Checked


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate, counted: `agreeing` are the votes that hold and say what it says."""

    decision: Decision
    set_version: int
    approvals: int
    rejections: int
    agreeing: int
    needed: int
    verifiers: int
    checked: Checked


class Accusation(msgspec.Struct, frozen=True, kw_only=True):
    """A verifier was accused of what it signed; `proven` is whether its votes prove it to anybody."""

    verifier: str
    kind: str
    meaning: str
    round: int
    votes: tuple[Vote, ...]
    proven: Checked


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One escrow transaction, read from the vault's bytes; None is what they do not say, or that they are not at hand."""

    tx_hash: str
    round: int
    nonce: int | None = None
    gas: int | None = None
    gas_price_wei: int | None = None
    signer: str | None = None
    to: str | None = None
    calldata_bytes: int | None = None
    checked: Checked


class EmittedLog(msgspec.Struct, frozen=True, kw_only=True):
    """One log of the receipt, decoded: whole numbers as decimal texts. `meaning` is "" for what proves nothing."""

    address: str
    name: str
    fields: dict[str, str]
    meaning: str


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of the transaction that executed the deal, and whether its logs are those due."""

    tx_hash: str
    block: int
    block_hash: str
    at_ms: int
    logs: tuple[EmittedLog, ...]
    checked: Checked


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The end without a swap, in machines' words and in a sentence."""

    reason: str
    detail: str
    meaning: str
    at_fault: tuple[str, ...]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A deal and all that proves it. `block` and `tx_hash` are those of its execution, else of what was last made."""

    deal: str
    room: str
    state: DealState
    buyer: str
    seller: str
    price_usdc_micros: int
    terms: Terms
    deal_hash: str
    details_hash: str
    hashed: Checked
    steps: tuple[Step, ...]
    parties: tuple[Party, Party]
    members: tuple[Member, ...]
    certificate: Tally | None
    votes: tuple[CastVote, ...]
    accusations: tuple[Accusation, ...]
    transactions: tuple[Transaction, ...]
    tx_hash: str | None
    block: int | None
    settled: Settled | None
    failure: Failure | None

    def checks(self) -> Iterator[tuple[str, Checked]]:
        """Yields all checks, each with what it is about."""
        yield "the deal's hash", self.hashed
        for party in self.parties:
            yield f"the {party.role}'s mandate", party.signed
            yield f"the {party.role}'s limits", party.within
            if party.word is not None:
                yield f"the {party.role}'s session signature", party.word.session_checked
                yield f"the {party.role}'s identity signature", party.word.identity_checked
        yield from ((f"the keys of {member.verifier}", member.bound) for member in self.members)
        for vote in self.votes:
            yield f"the vote of {vote.verifier}", vote.statement
            yield f"what {vote.verifier} saw", vote.annex
            yield f"the attestation of {vote.verifier}", vote.attested
        if self.certificate is not None:
            yield "the certificate", self.certificate.checked
        yield from ((f"the accusation of {one.verifier}", one.proven) for one in self.accusations)
        yield from ((f"transaction {one.tx_hash}", one.checked) for one in self.transactions)
        if self.settled is not None:
            yield "the receipt", self.settled.checked

    def wrong(self) -> tuple[str, ...]:
        """Returns what does not hold, in words; none when all that could be checked does."""
        return tuple(f"{about}: {check.why}" for about, check in self.checks() if check.mark is Mark.BAD)

    def missing(self) -> tuple[str, ...]:
        """Returns what could not be checked, and why, each reason once."""
        found: dict[str, str] = {}
        for about, check in self.checks():
            if check.mark is Mark.UNCHECKED:
                found.setdefault(check.why, about)
        return tuple(f"{about}: {why}" for why, about in found.items())
