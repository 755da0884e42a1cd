"""What random histories do to a deal, by number; 0 leaves it as it is."""

from __future__ import annotations

import msgspec

from tests.contracts.attacking import high_s, with_mandate, with_order
from tests.contracts.deals import Execution, Plan

NOBODY = "0x" + "9" * 40  # an address without code


def elsewhere(plan: Plan, how: int) -> Plan:
    """Lets one mandate, or all the deal, be about another collection or currency."""
    nft, usdc = plan.deal.collection, plan.deal.currency
    match how:
        case 1:
            return with_mandate(plan, "seller", collection=usdc)
        case 2:
            return with_mandate(plan, "buyer", currency=nft)
        case 3:
            for side in ("seller", "buyer"):
                plan = with_mandate(plan, side, currency=nft)
            return plan.altered(currency=nft)
        case 4:
            for side in ("seller", "buyer"):
                plan = with_mandate(plan, side, collection=NOBODY)
            return plan.altered(collection=NOBODY)
        case _:
            return plan


def respelled(execution: Execution, how: int) -> Execution:
    """Spells one signature in another way."""
    seller, buyer, zero = execution.seller, execution.buyer, b"\0" * 64 + b"\x1b"
    match how:
        case 1:
            return with_order(execution, "seller", signature=high_s(seller.signature))
        case 2:
            return with_order(execution, "buyer", signature=buyer.signature[:64])
        case 3:
            return with_order(execution, "buyer", agent_signature=zero)
        case 4:
            return with_order(execution, "seller", signature=seller.agent_signature)
        case 5:
            return msgspec.structs.replace(execution, attestations=execution.attestations[::-1])
        case 6:
            return msgspec.structs.replace(execution, attestations=execution.attestations[:1] * 5)
        case 7:
            return msgspec.structs.replace(execution, attestations=(*execution.attestations[:6], zero))
        case _:
            return execution


def tampered(execution: Execution, how: int) -> Execution:
    """Changes one thing after all have signed."""
    deal, buyer = execution.deal, execution.buyer.mandate
    match how:
        case 1:
            return msgspec.structs.replace(execution, deal=msgspec.structs.replace(deal, price=deal.price + 1))
        case 2:
            return msgspec.structs.replace(execution, deal=msgspec.structs.replace(deal, token_id=deal.token_id + 1))
        case 3:
            return with_order(execution, "buyer", mandate=msgspec.structs.replace(buyer, max_price=1 << 255))
        case 4:
            return msgspec.structs.replace(execution, seller=execution.buyer, buyer=execution.seller)
        case 5:
            return msgspec.structs.replace(execution, deal=msgspec.structs.replace(deal, deal_id=b"\7" * 32))
        case _:
            return execution
