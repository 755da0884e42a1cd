"""Why the escrow refuses a deal: the numbers it reverts with, and their names.

Names that `consensus.judgement` also knows mean the same here. A side's names begin as its mandate's do there.
"""

from __future__ import annotations

from agentrooms.domain.eip712 import WORD_BYTES, keccak

REFUSED_SELECTOR = keccak(b"Refused(uint256)")[:4]
SELLER, BUYER = 20, 40  # added to the number of a reason that is about one side's order

_DEAL = {
    1: "paused",
    2: "deadline_passed",
    3: "deal_already_used",
    4: "self_trade",
    5: "collection_is_currency",
    6: "attestations_too_few",
    7: "attestation_not_by_verifier",
    8: "attestations_not_ascending",
    9: "balance_too_low",
    10: "allowance_too_low",
    11: "seller_does_not_own_item",
    12: "item_not_approved",
    13: "payment_failed",
    14: "payment_not_exact",
    15: "item_not_delivered",
}
_MANDATE = {
    1: "other",
    2: "signature",
    3: "agent_signature",
    4: "role",
    5: "collection",
    7: "traits_not_held",
    8: "currency",
    11: "mandate_not_started",
    12: "mandate_expired",
    13: "counter",
    14: "cancelled",
}

REASONS: dict[int, str] = {
    **_DEAL,
    **{SELLER + code: f"seller_mandate_invalid:{detail}" for code, detail in _MANDATE.items()},
    SELLER + 6: "seller_mandate_invalid:item_not_mandated",
    SELLER + 9: "seller_mandate_invalid:price_below_limit",
    SELLER + 10: "seller_mandate_invalid:price_above_maximum",
    SELLER + 15: "seller_mandate_spent",
    **{BUYER + code: f"buyer_mandate_invalid:{detail}" for code, detail in _MANDATE.items()},
    BUYER + 6: "buyer_mandate_invalid:item_not_wanted",
    BUYER + 9: "buyer_mandate_invalid:price_below_minimum",
    BUYER + 10: "buyer_mandate_invalid:price_above_limit",
    BUYER + 15: "buyer_mandate_spent",
}
"""Every number `check` may return but 0, and its name."""

CODES: dict[str, int] = {name: code for code, name in REASONS.items()}


def refused(data: bytes) -> str | None:
    """Returns the reason's name in the data of a revert, None when another error made it."""
    if len(data) != len(REFUSED_SELECTOR) + WORD_BYTES or not data.startswith(REFUSED_SELECTOR):
        return None
    return REASONS.get(int.from_bytes(data[len(REFUSED_SELECTOR) :], "big"))
