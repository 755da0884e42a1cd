"""Mandates: a user's signed limits. Secret; the log holds only their salted hash.

The escrow, every verifier, the room and the agent itself check a deal against both mandates with
the one function here, `breach`.
"""

from __future__ import annotations

import re

import msgspec

from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.canonical import canonical, digest, is_normal
from agentrooms.domain.keys import verify, wallet_address
from agentrooms.domain.money import format_usdc, is_price
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput

SALT_HEX_DIGITS = 64
WANTED_ITEMS_MAX = 100
WANTED_TRAITS_MAX = 16
_SALT = re.compile(rf"[0-9a-f]{{{SALT_HEX_DIGITS}}}")


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
    """Raises InvalidInput for a mandate that could never trade or whose numbers contradict each other.

    The message is for its principal alone: it may hold the mandate's values. `broken_rule` may be told to all.
    """
    rule = broken_rule(mandate)
    if rule is None:
        return
    prices = ", ".join(
        f"{name} {'none' if value is None else format_usdc(value)}"
        for name, value in (
            ("start", mandate.start_usdc_micros),
            ("limit", mandate.reservation_usdc_micros),
            ("maximum", mandate.maximum_usdc_micros),
        )
    )
    raise InvalidInput(
        f"the mandate cannot stand: {rule}; its prices in USDC: {prices}",
        hint="correct the mandate and sign it again",
    )


def broken_rule(mandate: Mandate) -> str | None:
    """Returns the first rule that the mandate breaks, without any of its values, or None when it can stand."""
    selling = mandate.role is Role.SELLER
    return next((rule for holds, rule in (_selling(mandate) if selling else _buying(mandate)) if not holds), None)


def _selling(mandate: Mandate) -> list[tuple[bool, str]]:
    maximum = mandate.maximum_usdc_micros
    return [
        (mandate.item is not None and mandate.wants is None, "a seller's mandate names its one item"),
        *_common(mandate, mandate.item.texts if mandate.item is not None else ()),
        (maximum is not None and is_price(maximum), "a seller's mandate has a maximum in whole ticks"),
        (
            maximum is not None and maximum >= mandate.start_usdc_micros,
            "a seller's maximum is at least its start price",
        ),
        (mandate.start_usdc_micros >= mandate.reservation_usdc_micros, "a seller starts at or above its limit"),
    ]


def _buying(mandate: Mandate) -> list[tuple[bool, str]]:
    wants = mandate.wants or Wants()
    return [
        (mandate.wants is not None and mandate.item is None, "a buyer's mandate says what it wants"),
        *_common(mandate, wants.texts),
        (not wants.empty, "a buyer that wants listed items or traits names them"),
        (len(wants.token_ids) <= WANTED_ITEMS_MAX, f"a buyer lists at most {WANTED_ITEMS_MAX} items"),
        (len(wants.traits) <= WANTED_TRAITS_MAX, f"a buyer names at most {WANTED_TRAITS_MAX} traits"),
        (mandate.maximum_usdc_micros is None, "only a seller's mandate has a maximum"),
        (mandate.start_usdc_micros <= mandate.reservation_usdc_micros, "a buyer starts at or below its limit"),
    ]


def _common(mandate: Mandate, texts: tuple[str, ...]) -> list[tuple[bool, str]]:
    texts = (mandate.principal, mandate.collection, mandate.session_key, *texts)
    prices = (mandate.start_usdc_micros, mandate.reservation_usdc_micros)
    return [
        (all(map(is_normal, texts)), "its texts have no invisible characters and are in Unicode normal form C"),
        (all(map(is_price, prices)), "prices are positive whole ticks"),
        (mandate.fills == 1, "a mandate has one fill"),
        (_SALT.fullmatch(mandate.salt) is not None, f"its salt is {SALT_HEX_DIGITS} lower-case hex digits"),
    ]


BREACHES = (
    "item_not_mandated",
    "item_not_wanted",
    "mandate_expired",
    "price_above_limit",
    "price_above_maximum",
    "price_below_limit",
    "price_not_a_tick",
)
"""What `breach` may return."""


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
