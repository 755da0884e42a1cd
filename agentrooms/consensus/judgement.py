"""What a verifier, and the escrow, check of a deal: terms, mandates and the facts of the chain."""

from __future__ import annotations

import msgspec

from agentrooms.domain.deal import Terms
from agentrooms.domain.mandate import BREACHES, SignedMandate, breach, is_signed, mandate_hash
from agentrooms.domain.terms import Role


class Facts(msgspec.Struct, frozen=True):
    """One look at the chain, for one deal. Money in micro-USDC, `at_ms` the block's time.

    `traits` are those the chain knows of the item; a mandate is spent once it has settled a deal.
    """

    owner: str
    traits: dict[str, str]
    approved: bool
    balance_usdc_micros: int
    allowance_usdc_micros: int
    deal_used: bool
    buyer_mandate_spent: bool
    seller_mandate_spent: bool
    block: int
    at_ms: int


AT_FAULT: dict[str, tuple[Role, ...]] = {
    "seller_does_not_own_item": (Role.SELLER,),
    "item_not_approved": (Role.SELLER,),
    "balance_too_low": (Role.BUYER,),
    "allowance_too_low": (Role.BUYER,),
    "seller_mandate_invalid": (Role.SELLER,),
    "buyer_mandate_invalid": (Role.BUYER,),
    "buyer_mandate_spent": (Role.BUYER,),
    "item_traits_differ": (Role.SELLER,),
    "seller_mandate_spent": (Role.SELLER,),
}
_NOBODY_AT_FAULT = ("deadline_passed", "deal_already_used", "self_trade")
_MANDATE_DETAILS = ("collection", "missing", "other", "signature", *BREACHES)
_MANDATES_INVALID = ("buyer_mandate_invalid", "seller_mandate_invalid")

REASONS = frozenset(
    {
        *(reason for reason in AT_FAULT if reason not in _MANDATES_INVALID),
        *_NOBODY_AT_FAULT,
        *(f"{name}:{detail}" for name in _MANDATES_INVALID for detail in _MANDATE_DETAILS),
    }
)
"""All words a verifier may give as a reason."""


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
        "deal_already_used": facts.deal_used,
        "buyer_mandate_spent": facts.buyer_mandate_spent and not facts.deal_used,  # else the deal itself spent it
        "seller_mandate_spent": facts.seller_mandate_spent and not facts.deal_used,
        "item_traits_differ": facts.traits != terms.item.traits,
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
