"""Mandates: a user's signed limits. Secret; the log holds only their salted hash.

The escrow, every verifier, the room and the agent itself check a deal against both mandates with
the one function here, `breach`.
"""

from __future__ import annotations

import msgspec

from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.keys import verify, wallet_address
from agentrooms.domain.money import is_price
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput

SALT_HEX_DIGITS = 64
WANTED_ITEMS_MAX = 100
WANTED_TRAITS_MAX = 16


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    """One principal's limits for one agent and one fill. Prices in micro-USDC, times in milliseconds.

    `item` is the seller's, `wants` the buyer's; `maximum_usdc_micros` is the most a seller may ask.
    `fills` is always 1: settlement publishes the mandate, so none that is public stays usable.
    """

    role: Role
    principal: str
    collection: str
    item: Item | None = None
    wants: Wants | None = None
    reservation_usdc_micros: int
    start_usdc_micros: int
    maximum_usdc_micros: int | None = None
    expires_at_ms: int
    fills: int = 1
    counter: int = 0
    session_key: str
    salt: str


class SignedMandate(msgspec.Struct, frozen=True):
    """A mandate with its principal's public key and signature (hex)."""

    mandate: Mandate
    public_key: str
    signature: str


def mandate_bytes(mandate: Mandate) -> bytes:
    """Returns the bytes a principal signs."""
    return b"agentrooms/mandate/v1\0" + canonical(mandate)


def mandate_hash(mandate: Mandate) -> str:
    """Returns the hash that stands for the mandate in the log; its salt keeps the limits unguessable."""
    return digest("agentrooms/mandate/v1", canonical(mandate))


def is_signed(signed: SignedMandate) -> bool:
    """Tells whether the principal itself signed."""
    by_key = verify(signed.public_key, mandate_bytes(signed.mandate), signed.signature)  # False for malformed hex
    return by_key and wallet_address(signed.public_key) == signed.mandate.principal


def check_mandate(mandate: Mandate) -> None:
    """Raises InvalidInput for a mandate that could never trade or whose numbers contradict each other."""
    low, high = mandate.start_usdc_micros, mandate.reservation_usdc_micros
    if mandate.role is Role.SELLER:
        low, high = high, low
        _require(mandate.item is not None and mandate.wants is None, "a seller's mandate names its one item")
        maximum = mandate.maximum_usdc_micros
        _require(maximum is not None and is_price(maximum), "a seller's mandate has a maximum in whole ticks")
        _require(maximum is not None and maximum >= high, "a seller's maximum is at least its start price")
    else:
        _require(mandate.wants is not None and mandate.item is None, "a buyer's mandate says what it wants")
        _require(mandate.maximum_usdc_micros is None, "only a seller's mandate has a maximum")
        wants = mandate.wants or Wants()
        _require(len(wants.token_ids) <= WANTED_ITEMS_MAX, f"a buyer lists at most {WANTED_ITEMS_MAX} items")
        _require(len(wants.traits) <= WANTED_TRAITS_MAX, f"a buyer names at most {WANTED_TRAITS_MAX} traits")
    _require(is_price(low) and is_price(high), f"prices are positive whole ticks, were {low} and {high}")
    _require(low <= high, f"a buyer starts at or below, a seller at or above its limit; were {low} and {high}")
    _require(mandate.fills == 1, f"a mandate has one fill, was {mandate.fills}")
    _require(len(mandate.salt) == SALT_HEX_DIGITS, "a mandate has 256 bits of salt")


def breach(mandate: Mandate, item: Item, price_usdc_micros: int, at_ms: int) -> str | None:
    """Returns which limit of the mandate a deal would break, or None when it lies within all of them."""
    if at_ms >= mandate.expires_at_ms:
        return "mandate_expired"
    if not is_price(price_usdc_micros):
        return "price_not_a_tick"
    if mandate.role is Role.BUYER:
        if mandate.wants is None or not mandate.wants.covers(item):
            return "item_not_wanted"
        return "price_above_limit" if price_usdc_micros > mandate.reservation_usdc_micros else None
    if mandate.item is None or mandate.item.token_id != item.token_id:
        return "item_not_mandated"
    if price_usdc_micros < mandate.reservation_usdc_micros:
        return "price_below_limit"
    maximum = mandate.maximum_usdc_micros
    return "price_above_maximum" if maximum is not None and price_usdc_micros > maximum else None


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidInput(f"the mandate cannot stand: {rule}", hint="correct the mandate and sign it again")
