"""One sale, from lock to its single end.

locked -> verifying -> executing -> completed
   any of the first three -> failed (a reject certificate, or expiry on chain)

Time-outs alone never end a deal, nor does a transaction that reverted: its calldata is public, so anybody may try
again until the deadline. See `fail`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from agentrooms.domain import eip712
from agentrooms.domain.assets import Item, token_number
from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.eip712 import EscrowDomain, keccak
from agentrooms.domain.event import Event
from agentrooms.domain.ids import derive_id
from agentrooms.errors import Rejection

ANNEX_REASONS_MAX = 8
_DEAL = (
    "Deal(bytes32 dealId,bytes32 sellerMandate,bytes32 buyerMandate,address collection,uint256 tokenId,"
    "address currency,uint256 price,uint256 deadline,bytes32 details)"
)


class DealState(StrEnum):
    """Where a deal stands; `executing` is shown as the PRD's `verifying`."""

    LOCKED = "locked"
    VERIFYING = "verifying"
    EXECUTING = "executing"
    COMPLETED = "completed"
    FAILED = "failed"


class Decision(StrEnum):
    """What a verifier decides about a deal, once and for ever."""

    APPROVE = "approve"
    REJECT = "reject"


class FailReason(StrEnum):
    """Why a deal failed."""

    REJECTED = "rejected"
    EXPIRED = "expired"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What both agents agreed on; everything a verifier and the escrow judge. Price in micro-USDC.

    The chain refuses the deal once its time is past `deadline_ms`.
    """

    buyer: str
    buyer_mandate: str
    buyer_wallet: str
    chain_id: int
    collection: str
    currency: str
    deadline_ms: int
    deal: str
    escrow: str
    item: Item
    price_usdc_micros: int
    quote: str
    room: str
    seller: str
    seller_mandate: str
    seller_wallet: str
    set_version: int

    @property
    def domain(self) -> EscrowDomain:
        """The one escrow these terms are for."""
        return EscrowDomain(self.chain_id, self.escrow)


class Acceptance(msgspec.Struct, frozen=True):
    """An agent's own word for a deal: its session key's for the escrow, its identity's (Ed25519) for anybody."""

    agent: str
    identity: str
    session: str


class Annex(msgspec.Struct, frozen=True):
    """What a verifier saw, beside its decision: signed apart, so equal decisions count together."""

    at_ms: int
    block: int
    reasons: tuple[str, ...]
    signature: str


class Vote(msgspec.Struct, frozen=True):
    """One verifier's one decision on a deal, with its signature over the shared statement.

    An approval brings its attestation, the 65-byte signature that the escrow counts, in hex; a rejection "".
    """

    annex: Annex
    attestation: str
    decision: Decision
    signature: str
    verifier: str


class Misbehaviour(msgspec.Struct, frozen=True, kw_only=True):
    """Signed votes of one verifier that no honest one could have cast: proof for anybody."""

    kind: str
    verifier: str
    votes: tuple[Vote, ...]


class ChainLog(msgspec.Struct, frozen=True):
    """One log of a transaction as the chain has it: address, topics and data in hex."""

    address: str
    topics: tuple[str, ...]
    data: str


class Receipt(msgspec.Struct, frozen=True):
    """What the chain says of a final transaction."""

    block: int
    block_hash: str
    at_ms: int
    reason: str
    succeeded: bool
    tx_hash: str
    logs: tuple[ChainLog, ...] = ()


class DealLocked(Event, frozen=True):
    """Buyer, seller and item are bound to the terms; the first lock wins."""

    deal_hash: str
    round: int
    terms: Terms


class DealVerifying(Event, frozen=True):
    """Both agents have signed, the verifiers are asked. First the buyer's word, then the seller's."""

    acceptances: tuple[Acceptance, ...]
    deal: str
    round: int


class DealCertified(Event, frozen=True, kw_only=True):
    """At least five verifiers signed the same decision; the votes are the certificate."""

    deal: str
    decision: Decision
    round: int
    set_version: int
    votes: tuple[Vote, ...]


class VerifierAccused(Event, frozen=True):
    """A verifier was shown to be faulty by what it signed about a deal."""

    deal: str
    evidence: Misbehaviour
    round: int


class EscrowSubmitted(Event, frozen=True):
    """An escrow transaction was made and stored; it may be sent from now on. A later one takes the place of a stuck one."""

    deal: str
    round: int
    tx_hash: str


class DealCompleted(Event, frozen=True):
    """The chain has swapped item and payment."""

    deal: str
    receipt: Receipt
    round: int


class DealFailed(Event, frozen=True):
    """The deal ended without a swap; `at_fault` names the agents whose doing it was (may be empty)."""

    at_fault: tuple[str, ...]
    deal: str
    detail: str
    reason: FailReason
    round: int


DealEvent = DealLocked | DealVerifying | DealCertified | VerifierAccused | EscrowSubmitted | DealCompleted | DealFailed


@dataclass(frozen=True, slots=True)
class Deal:
    """One sale from lock to its single end."""

    terms: Terms
    deal_hash: str
    locked_round: int
    state: DealState = DealState.LOCKED
    acceptances: tuple[Acceptance, ...] = ()
    verifying_round: int | None = None
    decision: Decision | None = None
    certified_round: int | None = None
    tx_hash: str | None = None
    receipt: Receipt | None = None
    fail_reason: FailReason | None = None
    ended_round: int | None = None

    @property
    def live(self) -> bool:
        """Whether the deal still binds its parties."""
        return self.state not in _ENDED


_ENDED = frozenset({DealState.COMPLETED, DealState.FAILED})


class LateVerdict(Rejection):
    """A verdict names a deal that is not waiting for it."""

    def __init__(self, deal: str, state: DealState) -> None:
        super().__init__(f"deal {deal} is {state} and waits for no such verdict")


def deal_id(room: str, buyer: str, seller: str, round_: int) -> str:
    """Returns the id of the one deal two agents can lock in a round."""
    return derive_id("deal", room, buyer, seller, round_)


def deal_hash(terms: Terms) -> str:
    """Returns the hash that agents, votes and the escrow refer to. Raises InvalidInput for what cannot be terms."""
    return eip712.struct_hash(
        _DEAL,
        keccak(terms.deal.encode()),
        eip712.word(terms.seller_mandate),
        eip712.word(terms.buyer_mandate),
        eip712.address(terms.collection),
        eip712.uint(token_number(terms.item.token_id)),
        eip712.address(terms.currency),
        eip712.uint(terms.price_usdc_micros),
        eip712.uint(terms.deadline_ms),
        eip712.word(details(terms)),
    ).hex()


def details(terms: Terms) -> str:
    """Returns the hash of all terms, those the escrow need not know among them."""
    return digest("agentrooms/deal/v2", canonical(terms))


def deal_digest(terms: Terms) -> bytes:
    """Returns what an agent's session key signs."""
    return eip712.digest(terms.domain, bytes.fromhex(deal_hash(terms)))


def born(event: DealLocked) -> Deal:
    """Returns the deal a lock brings into being."""
    return Deal(event.terms, event.deal_hash, event.round)


def evolve(deal: Deal, event: DealEvent) -> Deal:
    """Returns the deal after the event; a lock is `born`."""
    match event:
        case DealLocked():
            return born(event)
        case DealVerifying():
            return replace(deal, state=DealState.VERIFYING, acceptances=event.acceptances, verifying_round=event.round)
        case DealCertified():
            state = DealState.EXECUTING if event.decision is Decision.APPROVE else deal.state
            return replace(deal, state=state, decision=event.decision, certified_round=event.round)
        case VerifierAccused():
            return deal
        case EscrowSubmitted():
            return replace(deal, tx_hash=event.tx_hash)
        case DealCompleted():
            receipt = event.receipt  # perhaps of a transaction that a stranger sent
            return replace(
                deal, state=DealState.COMPLETED, tx_hash=receipt.tx_hash, receipt=receipt, ended_round=event.round
            )
        case DealFailed():
            return replace(deal, state=DealState.FAILED, fail_reason=event.reason, ended_round=event.round)


def verify(deal: Deal, acceptances: tuple[Acceptance, Acceptance], round_: int) -> list[DealEvent]:
    """Notes that both agents have signed and the verifiers are asked. Raises LateVerdict for anybody else's word."""
    if deal.state is not DealState.LOCKED:
        return []
    if tuple(a.agent for a in acceptances) != (deal.terms.buyer, deal.terms.seller):
        raise LateVerdict(deal.terms.deal, deal.state)
    return [DealVerifying(acceptances, deal.terms.deal, round_)]


def certify(deal: Deal, decision: Decision, votes: tuple[Vote, ...], round_: int) -> list[DealEvent]:
    """Takes a quorum certificate. Raises LateVerdict after the end or for a second, other decision."""
    if deal.decision is decision:
        return []
    if deal.state is not DealState.VERIFYING or deal.decision is not None:
        raise LateVerdict(deal.terms.deal, deal.state)
    return [
        DealCertified(
            deal=deal.terms.deal,
            decision=decision,
            round=round_,
            set_version=deal.terms.set_version,
            votes=votes,
        )
    ]


def submit(deal: Deal, tx_hash: str, round_: int) -> list[DealEvent]:
    """Notes a stored escrow transaction before it is sent, also one more for a deal whose last one is stuck.

    Raises LateVerdict without approval.
    """
    if deal.tx_hash == tx_hash:
        return []
    if deal.state is not DealState.EXECUTING:
        raise LateVerdict(deal.terms.deal, deal.state)
    return [EscrowSubmitted(deal.terms.deal, round_, tx_hash)]


def complete(deal: Deal, receipt: Receipt, round_: int) -> list[DealEvent]:
    """Ends the deal on a final, successful receipt of a transaction that executed it. Raises LateVerdict otherwise.

    Anybody may have sent that transaction: what the escrow swaps is the same.
    """
    if deal.state is DealState.COMPLETED and deal.receipt == receipt:
        return []
    if deal.state is not DealState.EXECUTING or not receipt.succeeded:
        raise LateVerdict(deal.terms.deal, deal.state)
    return [DealCompleted(deal.terms.deal, receipt, round_)]


def fail(deal: Deal, reason: FailReason, detail: str, at_fault: tuple[str, ...], round_: int) -> list[DealEvent]:
    """Ends the deal without a swap.

    A rejection needs a reject certificate. Expiry is a fact of the chain (its final time is past the deadline
    and the deal unused), never of our clock.
    """
    if deal.state is DealState.FAILED and deal.fail_reason is reason:
        return []
    if not deal.live or not _may_fail(deal, reason):
        raise LateVerdict(deal.terms.deal, deal.state)
    return [DealFailed(at_fault, deal.terms.deal, detail, reason, round_)]


def _may_fail(deal: Deal, reason: FailReason) -> bool:
    if reason is FailReason.REJECTED:
        return deal.decision is Decision.REJECT
    return deal.decision is not Decision.REJECT
