"""A slow and plain model of the escrow with its currency and collection, written from the specification.

Reasons are names, state is dictionaries, and every rule is one line that says what must hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from agentrooms.domain.eip712 import EscrowDomain, digest, keccak, struct_hash, uint
from agentrooms.domain.secp256k1 import recover
from tests.contracts.deals import ATTESTATION_TYPE, BUYER, SELLER, Deal, Execution, Order

ZERO = "0x" + "0" * 40
QUORUM = 5
FOREVER = (1 << 256) - 1


class Model:
    """What the chain should hold. Addresses in lower-case hex, money in micro-USDC, times in milliseconds."""

    def __init__(self, domain: EscrowDomain, verifiers: tuple[str, ...], collection: str, currency: str) -> None:
        self.domain = domain
        self.verifiers = verifiers
        self.collection, self.currency = collection, currency
        self.set_version = 1
        self.paused = False
        self.executed: dict[bytes, int] = {}
        self.fills: dict[bytes, int] = defaultdict(int)
        self.counters: dict[str, int] = defaultdict(int)
        self.cancelled: set[tuple[str, bytes]] = set()
        self.balances: dict[str, int] = defaultdict(int)
        self.allowances: dict[str, int] = defaultdict(int)  # to the escrow
        self.permits: dict[str, int] = defaultdict(int)
        self.owners: dict[int, str] = {}
        self.traits: dict[int, dict[bytes, bytes]] = {}
        self.approved: set[int] = set()  # items the escrow may move
        self.operated: set[str] = set()  # owners all of whose items the escrow may move

    def refusal(self, execution: Execution, now_ms: int) -> str | None:
        """Returns the first reason against an execution, in the order of the specification."""
        return next(self._against(execution, now_ms), None)

    def execute(self, execution: Execution, now_ms: int, block: int) -> str | None:
        """Settles a deal, or returns why not and changes nothing."""
        reason = self.refusal(execution, now_ms)
        if reason is not None:
            return reason
        deal, seller, buyer = execution.deal, execution.seller.mandate, execution.buyer.mandate
        self.executed[deal.deal_id] = block
        self.fills[seller.hash()] += 1
        self.fills[buyer.hash()] += 1
        self.balances[buyer.principal] -= deal.price
        self.balances[seller.principal] += deal.price
        if self.allowances[buyer.principal] != FOREVER:
            self.allowances[buyer.principal] -= deal.price
        self.owners[deal.token_id] = buyer.principal
        self.approved.discard(deal.token_id)
        return None

    def _against(self, execution: Execution, now_ms: int) -> Iterator[str]:
        deal, seller, buyer = execution.deal, execution.seller, execution.buyer
        if self.paused:
            yield "paused"
        if now_ms > deal.deadline:
            yield "deadline_passed"
        if deal.deal_id in self.executed:
            yield "deal_already_used"
        if seller.mandate.hash() != deal.seller_mandate:
            yield "seller_mandate_invalid:other"
        if buyer.mandate.hash() != deal.buyer_mandate:
            yield "buyer_mandate_invalid:other"
        for side, order in (("seller", seller), ("buyer", buyer)):
            if self._signer(order.signature, order.mandate.hash()) != order.mandate.principal:
                yield f"{side}_mandate_invalid:signature"
        for side, order in (("seller", seller), ("buyer", buyer)):
            if self._signer(order.agent_signature, deal.hash()) != order.mandate.agent:
                yield f"{side}_mandate_invalid:agent_signature"
        for detail in self._broken(seller, SELLER, deal, now_ms):
            names = {
                "item": "item_not_mandated",
                "low": "price_below_limit",
                "high": "price_above_maximum",
            }
            yield "seller_mandate_spent" if detail == "spent" else f"seller_mandate_invalid:{names.get(detail, detail)}"
        for detail in self._broken(buyer, BUYER, deal, now_ms):
            names = {"item": "item_not_wanted", "low": "price_below_minimum", "high": "price_above_limit"}
            yield "buyer_mandate_spent" if detail == "spent" else f"buyer_mandate_invalid:{names.get(detail, detail)}"
        if seller.mandate.principal == buyer.mandate.principal:
            yield "self_trade"
        if deal.collection == deal.currency:
            yield "collection_is_currency"
        yield from self._unattested(execution)
        yield from self._unready(deal, seller.mandate.principal, buyer.mandate.principal)

    def _broken(self, order: Order, role: int, deal: Deal, now_ms: int) -> Iterator[str]:
        mandate = order.mandate
        if mandate.role != role:
            yield "role"
        if mandate.collection != deal.collection:
            yield "collection"
        if mandate.items != b"\0" * 32 and not _proves(mandate.items, deal.token_id, order.proof):
            yield "item"
        held = self.traits.get(deal.token_id, {}) if deal.collection == self.collection else {}
        exists = deal.collection == self.collection and deal.token_id in self.owners
        if any(not exists or held.get(key, b"\0" * 32) != text for key, text in mandate.traits):
            yield "traits_not_held"
        if mandate.currency != deal.currency:
            yield "currency"
        if deal.price < mandate.min_price:
            yield "low"
        if deal.price > mandate.max_price:
            yield "high"
        if now_ms < mandate.not_before:
            yield "mandate_not_started"
        if now_ms >= mandate.expiry:
            yield "mandate_expired"
        if mandate.counter != self.counters[mandate.principal]:
            yield "counter"
        if (mandate.principal, mandate.hash()) in self.cancelled:
            yield "cancelled"
        if self.fills[mandate.hash()] >= mandate.fills:
            yield "spent"

    def _unattested(self, execution: Execution) -> Iterator[str]:
        struct = struct_hash(ATTESTATION_TYPE, execution.deal.hash(), uint(self.set_version))
        if len(execution.attestations) < QUORUM:
            yield "attestations_too_few"
        before = 0
        for attestation in execution.attestations:
            signer = self._signer(attestation, struct)
            if signer not in self.verifiers:
                yield "attestation_not_by_verifier"
                return
            if int(signer, 16) <= before:
                yield "attestations_not_ascending"
            before = int(signer, 16)

    def _unready(self, deal: Deal, seller: str, buyer: str) -> Iterator[str]:
        pays = deal.currency == self.currency
        if not pays or self.balances[buyer] < deal.price:
            yield "balance_too_low"
        if self.allowances[buyer] < deal.price:
            yield "allowance_too_low"
        if deal.collection != self.collection or self.owners.get(deal.token_id) != seller:
            yield "seller_does_not_own_item"
        if deal.token_id not in self.approved and seller not in self.operated:
            yield "item_not_approved"

    def _signer(self, signature: bytes, struct: bytes) -> str:
        """Returns who signed; nobody is no address at all, not even the zero one."""
        return recover(digest(self.domain, struct), signature.hex()) or "nobody"


def _proves(items: bytes, token: int, proof: tuple[bytes, ...]) -> bool:
    node = keccak(keccak(token.to_bytes(32, "big")))
    for sibling in proof:
        node = keccak(b"".join(sorted((node, sibling))))
    return node == items
