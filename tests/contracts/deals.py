"""Mandates, deals and orders as the specification writes them, and a plan of one valid deal to be altered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agentrooms.domain import merkle
from agentrooms.domain.eip712 import EscrowDomain, address, digest, keccak, struct_hash, uint
from agentrooms.domain.secp256k1 import address_of, sign

TRAIT_TYPE = "Trait(bytes32 key,bytes32 value)"
MANDATE_TYPE = (
    "Mandate(address principal,uint8 role,address agent,address collection,bytes32 items,Trait[] traits,"
    "address currency,uint256 minPrice,uint256 maxPrice,uint256 notBefore,uint256 expiry,uint256 fills,"
    "uint256 counter,bytes32 details,bytes32 salt)" + TRAIT_TYPE
)
DEAL_TYPE = (
    "Deal(bytes32 dealId,bytes32 sellerMandate,bytes32 buyerMandate,address collection,uint256 tokenId,"
    "address currency,uint256 price,uint256 deadline,bytes32 details)"
)
ATTESTATION_TYPE = "Attestation(bytes32 deal,uint256 setVersion)"
SELLER, BUYER = 0, 1


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    """The signed limits of one principal."""

    principal: str
    role: int
    agent: str
    collection: str
    items: bytes
    traits: tuple[tuple[bytes, bytes], ...] = ()
    currency: str
    min_price: int
    max_price: int
    not_before: int
    expiry: int
    fills: int = 1
    counter: int = 0
    details: bytes = b"\1" * 32
    salt: bytes

    def hash(self) -> bytes:
        traits = keccak(b"".join(struct_hash(TRAIT_TYPE, key, text) for key, text in self.traits))
        return struct_hash(
            MANDATE_TYPE,
            address(self.principal),
            uint(self.role),
            address(self.agent),
            address(self.collection),
            self.items,
            traits,
            address(self.currency),
            *map(uint, (self.min_price, self.max_price, self.not_before, self.expiry, self.fills, self.counter)),
            self.details,
            self.salt,
        )

    def values(self) -> tuple[Any, ...]:
        return msgspec.structs.astuple(self)


class Deal(msgspec.Struct, frozen=True, kw_only=True):
    """What both agents and the verifiers sign."""

    deal_id: bytes
    seller_mandate: bytes
    buyer_mandate: bytes
    collection: str
    token_id: int
    currency: str
    price: int
    deadline: int
    details: bytes = b"\2" * 32

    def hash(self) -> bytes:
        return struct_hash(
            DEAL_TYPE,
            self.deal_id,
            self.seller_mandate,
            self.buyer_mandate,
            address(self.collection),
            uint(self.token_id),
            address(self.currency),
            uint(self.price),
            uint(self.deadline),
            self.details,
        )

    def values(self) -> tuple[Any, ...]:
        return msgspec.structs.astuple(self)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One side's part of an execution."""

    mandate: Mandate
    signature: bytes
    agent_signature: bytes
    proof: tuple[bytes, ...] = ()

    def values(self) -> tuple[Any, ...]:
        return self.mandate.values(), self.signature, self.agent_signature, self.proof


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """All arguments of `execute`."""

    deal: Deal
    seller: Order
    buyer: Order
    attestations: tuple[bytes, ...]

    def values(self) -> tuple[Any, ...]:
        return self.deal.values(), self.seller.values(), self.buyer.values(), self.attestations


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side before signing. `wallet` and `agent` are private keys."""

    mandate: Mandate
    wallet: bytes
    agent: bytes
    proof: tuple[bytes, ...] = ()

    def altered(self, **changes: Any) -> Side:
        """This side with other fields in its mandate."""
        return msgspec.structs.replace(self, mandate=msgspec.structs.replace(self.mandate, **changes))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A deal before signing; `attesters` sign for `set_version`. The deal's mandate hashes come from the sides."""

    domain: EscrowDomain
    seller: Side
    buyer: Side
    deal: Deal
    attesters: tuple[bytes, ...]
    set_version: int = 1

    def altered(self, **changes: Any) -> Plan:
        """This plan with other fields in its deal."""
        return msgspec.structs.replace(self, deal=msgspec.structs.replace(self.deal, **changes))

    def signed(self) -> Execution:
        """Signs everything for these fields."""
        deal = msgspec.structs.replace(
            self.deal, seller_mandate=self.seller.mandate.hash(), buyer_mandate=self.buyer.mandate.hash()
        )
        return Execution(
            deal=deal,
            seller=self._order(self.seller, deal),
            buyer=self._order(self.buyer, deal),
            attestations=attested(self.domain, deal, self.attesters, self.set_version),
        )

    def _order(self, side: Side, deal: Deal) -> Order:
        return Order(
            mandate=side.mandate,
            signature=signature(side.wallet, self.domain, side.mandate.hash()),
            agent_signature=signature(side.agent, self.domain, deal.hash()),
            proof=side.proof,
        )


def signature(key: bytes, domain: EscrowDomain, struct: bytes) -> bytes:
    return bytes.fromhex(sign(key, digest(domain, struct)))


def attested(domain: EscrowDomain, deal: Deal, keys: Iterable[bytes], set_version: int) -> tuple[bytes, ...]:
    """Returns attestations in the order of the signers' addresses."""
    struct = struct_hash(ATTESTATION_TYPE, deal.hash(), uint(set_version))
    return tuple(signature(key, domain, struct) for key in sorted(keys, key=address_of))


def one_item(token: int) -> bytes:
    return merkle.root([token])


def text_hash(text: str) -> bytes:
    return keccak(text.encode())
