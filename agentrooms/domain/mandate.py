"""Mandates: a user's signed limits (EIP-712). Secret; the log holds only their salted hash.

The escrow, every verifier, the room and the agent itself check a deal against both mandates with
the one function here, `breach`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from agentrooms.domain import eip712, merkle, secp256k1
from agentrooms.domain.assets import Item, WantKind, Wants, is_token_id, token_number
from agentrooms.domain.canonical import canonical, digest, is_normal
from agentrooms.domain.eip712 import EscrowDomain, is_address, keccak
from agentrooms.domain.money import format_usdc, is_price
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput

SALT_HEX_DIGITS = 64
WANTED_ITEMS_MAX = 100
WANTED_TRAITS_MAX = 16
SIGNATURE_BYTES_MAX = 1_024  # a contract's wallet may sign with more than a key's 65 bytes
_HEX_64 = re.compile(rf"[0-9a-f]{{{SALT_HEX_DIGITS}}}")
_TRAIT = "Trait(bytes32 key,bytes32 value)"
_MANDATE = (
    "Mandate(address principal,uint8 role,address agent,address collection,bytes32 items,Trait[] traits,"
    "address currency,uint256 minPrice,uint256 maxPrice,uint256 notBefore,uint256 expiry,uint256 fills,"
    f"uint256 counter,bytes32 details,bytes32 salt){_TRAIT}"
)
_TYPES = {"EIP712Domain": eip712.DOMAIN_TYPE, "Mandate": _MANDATE.removesuffix(_TRAIT), "Trait": _TRAIT}
SELLER_CODE, BUYER_CODE = 0, 1


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    """One principal's limits for one agent and one fill. Prices in micro-USDC, times in milliseconds.

    `item` is the seller's, `wants` the buyer's; `maximum_usdc_micros` is the most a seller may ask.
    `fills` is always 1: settlement publishes the mandate, so none that is public stays usable. `counter` is
    the principal's own on chain: moving it cancels all mandates at once. The agent signs deals with its
    `session_key` (an address) for the escrow and with its `identity` (an Ed25519 public key) for anybody.
    """

    role: Role
    principal: str
    collection: str
    currency: str
    item: Item | None = None
    wants: Wants | None = None
    reservation_usdc_micros: int
    start_usdc_micros: int
    maximum_usdc_micros: int | None = None
    not_before_ms: int = 0
    expires_at_ms: int
    fills: int = 1
    counter: int = 0
    session_key: str
    identity: str
    salt: str


class SignedMandate(msgspec.Struct, frozen=True):
    """A mandate with its principal's signature (hex): 65 bytes of a key, or what a contract's wallet takes."""

    mandate: Mandate
    signature: str


def details(mandate: Mandate) -> str:
    """Returns the hash of what the escrow need not know of a mandate."""
    known = {
        "identity": mandate.identity,
        "item": mandate.item,
        "maximum_usdc_micros": mandate.maximum_usdc_micros,
        "start_usdc_micros": mandate.start_usdc_micros,
        "wants": mandate.wants,
    }
    return digest("agentrooms/mandate/v2", canonical(known))


def item_root(mandate: Mandate) -> bytes:
    """Returns the Merkle root of the tokens a mandate is for, `merkle.ANY` when any of the collection will do."""
    if mandate.item is not None:
        return merkle.root([token_number(mandate.item.token_id)])
    wants = mandate.wants
    return merkle.root(map(token_number, wants.token_ids)) if wants and wants.kind is WantKind.ITEMS else merkle.ANY


def required_traits(mandate: Mandate) -> tuple[tuple[bytes, bytes], ...]:
    """Returns the traits the escrow asks the collection for, as hashes of their names and values, sorted."""
    wants = mandate.wants
    traits = wants.traits if wants and wants.kind is WantKind.TRAITS else {}
    return tuple(sorted((keccak(name.encode()), keccak(value.encode())) for name, value in traits.items()))


def price_bounds(mandate: Mandate) -> tuple[int, int]:
    """Returns the least and the highest price the escrow lets pass."""
    if mandate.role is Role.BUYER:
        return 0, mandate.reservation_usdc_micros
    maximum = mandate.maximum_usdc_micros
    return mandate.reservation_usdc_micros, maximum if maximum is not None else eip712.WORD_MAX


def mandate_hash(mandate: Mandate) -> str:
    """Returns the hash that stands for the mandate in the log and in the escrow; its salt keeps the limits unguessable.

    Raises InvalidInput when an address, a token or a number in it is none.
    """
    least, most = price_bounds(mandate)
    traits = b"".join(eip712.struct_hash(_TRAIT, key, value) for key, value in required_traits(mandate))
    return eip712.struct_hash(
        _MANDATE,
        eip712.address(mandate.principal),
        eip712.uint(SELLER_CODE if mandate.role is Role.SELLER else BUYER_CODE),
        eip712.address(mandate.session_key),
        eip712.address(mandate.collection),
        item_root(mandate),
        keccak(traits),
        eip712.address(mandate.currency),
        eip712.uint(least),
        eip712.uint(most),
        eip712.uint(mandate.not_before_ms),
        eip712.uint(mandate.expires_at_ms),
        eip712.uint(mandate.fills),
        eip712.uint(mandate.counter),
        eip712.word(details(mandate)),
        eip712.word(mandate.salt),
    ).hex()


def mandate_digest(mandate: Mandate, escrow: EscrowDomain) -> bytes:
    """Returns what a principal signs: the mandate, for one escrow on one chain."""
    return eip712.digest(escrow, bytes.fromhex(mandate_hash(mandate)))


def typed_data(mandate: Mandate, escrow: EscrowDomain) -> dict[str, Any]:
    """Returns what `eth_signTypedData_v4` has a wallet show and sign: the same digest as `mandate_digest`.

    Numbers of 256 bits are decimal strings: not every JSON reader keeps large integers.
    """
    least, most = price_bounds(mandate)
    domain = {
        "name": eip712.DOMAIN_NAME,
        "version": eip712.DOMAIN_VERSION,
        "chainId": escrow.chain_id,
        "verifyingContract": escrow.address,
    }
    message = {
        "principal": mandate.principal,
        "role": SELLER_CODE if mandate.role is Role.SELLER else BUYER_CODE,
        "agent": mandate.session_key,
        "collection": mandate.collection,
        "items": "0x" + item_root(mandate).hex(),
        "traits": [{"key": "0x" + key.hex(), "value": "0x" + value.hex()} for key, value in required_traits(mandate)],
        "currency": mandate.currency,
        "minPrice": str(least),
        "maxPrice": str(most),
        "notBefore": str(mandate.not_before_ms),
        "expiry": str(mandate.expires_at_ms),
        "fills": str(mandate.fills),
        "counter": str(mandate.counter),
        "details": "0x" + details(mandate),
        "salt": "0x" + mandate.salt,
    }
    types = {name: eip712.members(text) for name, text in _TYPES.items()}
    return {"types": types, "primaryType": "Mandate", "domain": domain, "message": message}


def sign_mandate(mandate: Mandate, escrow: EscrowDomain, key: bytes) -> SignedMandate:
    """Returns the mandate with the signature of a wallet whose 32-byte key is at hand: mock wallets only."""
    return SignedMandate(mandate, secp256k1.sign(key, mandate_digest(mandate, escrow)))


def is_signed(signed: SignedMandate, escrow: EscrowDomain) -> bool:
    """Tells whether the principal's own key signed. A contract's wallet only the chain can ask."""
    return secp256k1.recover(mandate_digest(signed.mandate, escrow), signed.signature) == signed.mandate.principal


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
    addresses = (mandate.principal, mandate.collection, mandate.currency, mandate.session_key)
    tokens = (*((mandate.item.token_id,) if mandate.item else ()), *(mandate.wants.token_ids if mandate.wants else ()))
    times = (mandate.not_before_ms, mandate.expires_at_ms, mandate.counter)
    prices = (mandate.start_usdc_micros, mandate.reservation_usdc_micros)
    return [
        (all(map(is_normal, texts)), "its texts have no invisible characters and are in Unicode normal form C"),
        (all(map(is_address, addresses)), "wallet, collection, currency and session key are lower-case addresses"),
        (all(map(is_token_id, tokens)), "token ids are decimal numbers below 2**256"),
        (all(map(is_price, prices)), "prices are positive whole ticks"),
        (all(0 <= time <= eip712.WORD_MAX for time in times), "times and counter are not negative"),
        (mandate.fills == 1, "a mandate has one fill"),
        (_HEX_64.fullmatch(mandate.salt) is not None, f"its salt is {SALT_HEX_DIGITS} lower-case hex digits"),
        (_HEX_64.fullmatch(mandate.identity) is not None, "its identity is an Ed25519 public key in hex"),
    ]


BREACHES = (
    "item_not_mandated",
    "item_not_wanted",
    "mandate_expired",
    "mandate_not_started",
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
    if at_ms < mandate.not_before_ms:
        return "mandate_not_started"
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
