"""What a verifier, and the escrow, check of a deal: terms, mandates and the facts of the chain."""

from __future__ import annotations

import msgspec

from agentrooms.domain.deal import Terms
from agentrooms.domain.mandate import SignedMandate, breach, is_signed, mandate_hash
from agentrooms.domain.terms import Role


class Facts(msgspec.Struct, frozen=True):
    """One look at the chain, for one deal. Money in micro-USDC, `at_ms` the block's time."""

    owner: str
    approved: bool
    balance_usdc_micros: int
    allowance_usdc_micros: int
    used: bool
    block: int
    at_ms: int


AT_FAULT: dict[str, tuple[Role, ...]] = {
    "seller_does_not_own_item": (Role.SELLER,),
    "item_not_approved": (Role.SELLER,),
    "balance_too_low": (Role.BUYER,),
    "allowance_too_low": (Role.BUYER,),
    "seller_mandate_invalid": (Role.SELLER,),
    "buyer_mandate_invalid": (Role.BUYER,),
}


def at_fault(reason: str, terms: Terms) -> tuple[str, ...]:
    """Returns the agents whose doing a reason is; none for what neither party caused."""
    roles = AT_FAULT.get(reason.split(":", 1)[0], ())
    return tuple(terms.buyer if role is Role.BUYER else terms.seller for role in roles)


def judge(terms: Terms, buyer: SignedMandate | None, seller: SignedMandate | None, facts: Facts) -> tuple[str, ...]:
    """Returns all reasons against the deal, sorted; none means it may be executed."""
    found = [
        *_mandate_reasons(terms, buyer, Role.BUYER, facts.at_ms),
        *_mandate_reasons(terms, seller, Role.SELLER, facts.at_ms),
    ]
    checks = {
        "self_trade": terms.buyer_wallet == terms.seller_wallet,
        "deal_already_used": facts.used,
        "deadline_passed": facts.at_ms > terms.deadline_ms,
        "seller_does_not_own_item": facts.owner != terms.seller_wallet,
        "item_not_approved": not facts.approved,
        "balance_too_low": facts.balance_usdc_micros < terms.price_usdc_micros,
        "allowance_too_low": facts.allowance_usdc_micros < terms.price_usdc_micros,
    }
    found += [reason for reason, against in checks.items() if against]
    return tuple(sorted(found))


def _mandate_reasons(terms: Terms, signed: SignedMandate | None, role: Role, at_ms: int) -> list[str]:
    name = f"{role}_mandate_invalid"
    if signed is None:
        return [f"{name}:missing"]
    mandate = signed.mandate
    buying = role is Role.BUYER
    expected = (terms.buyer_mandate, terms.buyer_wallet) if buying else (terms.seller_mandate, terms.seller_wallet)
    if (mandate_hash(mandate), mandate.principal) != expected or mandate.role is not role:
        return [f"{name}:other"]
    if mandate.collection != terms.collection:
        return [f"{name}:collection"]
    if not is_signed(signed):
        return [f"{name}:signature"]
    broken = breach(mandate, terms.item, terms.price_usdc_micros, at_ms)
    return [f"{name}:{broken}"] if broken is not None else []
