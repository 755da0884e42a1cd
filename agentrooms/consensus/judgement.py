"""What a verifier, and the escrow, check of a deal: terms, mandates and the facts of the chain."""

from __future__ import annotations

import msgspec

from agentrooms.domain.acceptance import is_accepted
from agentrooms.domain.deal import Acceptance, Terms
from agentrooms.domain.mandate import BREACHES, SignedMandate, breach, is_signed, mandate_hash
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A deal with all that is judged of it; a mandate that nobody has is None."""

    terms: Terms
    buyer: SignedMandate | None
    seller: SignedMandate | None
    acceptances: tuple[Acceptance, ...]


class Facts(msgspec.Struct, frozen=True):
    """One look at the chain, for one deal. Money in micro-USDC, `at_ms` the block's time.

    `traits` are those the chain knows of the item; a mandate is spent once it has settled a deal, and cancelled
    when its principal said so or moved its counter. A principal that is a contract signs by saying so on chain.
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
    buyer_cancelled: bool = False
    seller_cancelled: bool = False
    buyer_contract_signed: bool = False
    seller_contract_signed: bool = False
    paused: bool = False
    set_version: int = 1


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
    "buyer_acceptance_invalid": (Role.BUYER,),
    "seller_acceptance_invalid": (Role.SELLER,),
}
_NOBODY_AT_FAULT = ("deadline_passed", "deal_already_used", "other_set_version", "paused", "self_trade")
_MANDATE_DETAILS = ("cancelled", "collection", "currency", "missing", "other", "signature", *BREACHES)
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


def judge(case: Case, facts: Facts) -> tuple[str, ...]:
    """Returns all reasons against the deal, sorted; none means it may be executed."""
    terms = case.terms
    found = [
        *_party_reasons(case, case.buyer, Role.BUYER, facts),
        *_party_reasons(case, case.seller, Role.SELLER, facts),
    ]
    checks = {
        "self_trade": terms.buyer_wallet == terms.seller_wallet,
        "deal_already_used": facts.deal_used,
        "buyer_mandate_spent": facts.buyer_mandate_spent and not facts.deal_used,  # else the deal itself spent it
        "seller_mandate_spent": facts.seller_mandate_spent and not facts.deal_used,
        "item_traits_differ": facts.traits != terms.item.traits,
        "deadline_passed": facts.at_ms > terms.deadline_ms,
        "paused": facts.paused,
        "other_set_version": facts.set_version != terms.set_version,
        "seller_does_not_own_item": facts.owner != terms.seller_wallet,
        "item_not_approved": not facts.approved,
        "balance_too_low": facts.balance_usdc_micros < terms.price_usdc_micros,
        "allowance_too_low": facts.allowance_usdc_micros < terms.price_usdc_micros,
    }
    found += [reason for reason, against in checks.items() if against]
    return tuple(sorted(found))


def _party_reasons(case: Case, signed: SignedMandate | None, role: Role, facts: Facts) -> list[str]:
    """Returns what is against one party: its mandate, or its agent's word."""
    detail = _mandate_detail(case.terms, signed, role, facts)
    if detail:
        return [f"{role}_mandate_invalid:{detail}"]
    assert signed is not None
    agent = case.terms.buyer if role is Role.BUYER else case.terms.seller
    words = [acceptance for acceptance in case.acceptances if acceptance.agent == agent]
    accepted = len(words) == 1 and is_accepted(words[0], case.terms, signed.mandate)
    return [] if accepted else [f"{role}_acceptance_invalid"]


def _mandate_detail(terms: Terms, signed: SignedMandate | None, role: Role, facts: Facts) -> str:
    """Returns what is wrong with a party's mandate, "" when it allows the deal."""
    if signed is None:
        return "missing"
    mandate, buying = signed.mandate, role is Role.BUYER
    expected = (terms.buyer_mandate, terms.buyer_wallet) if buying else (terms.seller_mandate, terms.seller_wallet)
    try:
        own = (mandate_hash(mandate), mandate.principal)
    except InvalidInput:
        return "other"  # what has no hash is not what the terms name
    if own != expected or mandate.role is not role:
        return "other"
    if mandate.collection != terms.collection:
        return "collection"
    if mandate.currency != terms.currency:
        return "currency"
    by_contract = facts.buyer_contract_signed if buying else facts.seller_contract_signed
    if not by_contract and not is_signed(signed, terms.domain):
        return "signature"
    if facts.buyer_cancelled if buying else facts.seller_cancelled:
        return "cancelled"
    return breach(mandate, terms.item, terms.price_usdc_micros, facts.at_ms) or ""
