"""Typed data as wallets compute it: each digest against eth_account, whose encoder is not ours."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak as other_keccak
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.ledger import LEDGER
from agentrooms.consensus.votes import attestation_digest
from agentrooms.domain import deal, eip712, mandate, merkle, secp256k1
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.deal import Terms
from agentrooms.domain.eip712 import WORD_MAX, EscrowDomain
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput
from tests.domain import samples

WORDS = st.binary(min_size=32, max_size=32).map(bytes.hex)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
UINTS = st.integers(0, WORD_MAX)
TOKENS = UINTS.map(str)
TEXTS = st.text(st.characters(codec="ascii"), max_size=8)
TRAITS = st.dictionaries(TEXTS, TEXTS, max_size=4)
ITEMS = st.builds(Item, TOKENS, TEXTS, TRAITS)
WANTS = st.one_of(
    st.just(Wants()),
    st.builds(Wants, st.just(WantKind.ITEMS), st.lists(TOKENS, min_size=1, max_size=5).map(tuple)),
    st.builds(Wants, st.just(WantKind.TRAITS), traits=TRAITS),
)
DOMAINS = st.builds(EscrowDomain, UINTS, ADDRESSES)
PRICES = st.integers(0, 2**63 - 1)


@st.composite
def mandates(draw: st.DrawFn) -> Mandate:
    """Mandates of both roles, sensible or not."""
    role = draw(st.sampled_from(Role))
    selling = role is Role.SELLER
    return Mandate(
        role=role,
        principal=draw(ADDRESSES),
        collection=draw(ADDRESSES),
        currency=draw(ADDRESSES),
        item=draw(ITEMS) if selling else None,
        wants=None if selling else draw(WANTS),
        reservation_usdc_micros=draw(PRICES),
        start_usdc_micros=draw(PRICES),
        maximum_usdc_micros=draw(st.none() | PRICES) if selling else None,
        not_before_ms=draw(PRICES),
        expires_at_ms=draw(PRICES),
        fills=draw(PRICES),
        counter=draw(PRICES),
        session_key=draw(ADDRESSES),
        identity=draw(WORDS),
        salt=draw(WORDS),
    )


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """Terms of any content."""
    domain = draw(DOMAINS.filter(lambda domain: domain.chain_id < 2**63))
    return msgspec.structs.replace(
        samples.TERMS,
        chain_id=domain.chain_id,
        escrow=domain.address,
        deal=draw(TEXTS),
        seller_mandate=draw(WORDS),
        buyer_mandate=draw(WORDS),
        collection=draw(ADDRESSES),
        currency=draw(ADDRESSES),
        item=draw(ITEMS),
        price_usdc_micros=draw(PRICES),
        deadline_ms=draw(PRICES),
        set_version=draw(PRICES),
    )


def typed(domain: EscrowDomain, primary: str, types: dict[str, str], message: dict[str, Any]) -> SignableMessage:
    """What a wallet is asked to sign. `types` as they are written in a type string."""
    fields = {
        name: [dict(zip(("type", "name"), field.split(), strict=True)) for field in text.split(",")]
        for name, text in types.items()
    }
    fields["EIP712Domain"] = [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ]
    asked = {
        "name": "AgentroomsEscrow",
        "version": "1",
        "chainId": domain.chain_id,
        "verifyingContract": domain.address,
    }
    return encode_typed_data(
        full_message={"types": fields, "primaryType": primary, "domain": asked, "message": message}
    )


def digest(message: SignableMessage) -> bytes:
    return bytes(other_keccak(b"\x19" + message.version + message.header + message.body))


MANDATE_TYPES = {
    "Mandate": "address principal,uint8 role,address agent,address collection,bytes32 items,Trait[] traits,"
    "address currency,uint256 minPrice,uint256 maxPrice,uint256 notBefore,uint256 expiry,uint256 fills,"
    "uint256 counter,bytes32 details,bytes32 salt",
    "Trait": "bytes32 key,bytes32 value",
}
DEAL_TYPES = {
    "Deal": "bytes32 dealId,bytes32 sellerMandate,bytes32 buyerMandate,address collection,uint256 tokenId,"
    "address currency,uint256 price,uint256 deadline,bytes32 details"
}
ATTESTATION_TYPES = {"Attestation": "bytes32 deal,uint256 setVersion"}


def as_asked(signed: Mandate) -> dict[str, Any]:
    """A mandate's message, written down once more from the specification."""
    selling, wants = signed.role is Role.SELLER, signed.wants
    tokens = [int(signed.item.token_id)] if signed.item is not None else []
    traits: dict[str, str] = {}
    if wants is not None:
        tokens = [int(token) for token in wants.token_ids] if wants.kind is WantKind.ITEMS else []
        traits = wants.traits if wants.kind is WantKind.TRAITS else {}
    hashed = sorted((other_keccak(text=name), other_keccak(text=value)) for name, value in traits.items())
    maximum = signed.maximum_usdc_micros if signed.maximum_usdc_micros is not None else WORD_MAX
    known = {
        "identity": signed.identity,
        "item": msgspec.to_builtins(signed.item),
        "maximum_usdc_micros": signed.maximum_usdc_micros,
        "start_usdc_micros": signed.start_usdc_micros,
        "wants": msgspec.to_builtins(signed.wants),
    }
    text = json.dumps(known, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return {
        "principal": signed.principal,
        "role": 0 if selling else 1,
        "agent": signed.session_key,
        "collection": signed.collection,
        "items": merkle.root(tokens),
        "traits": [{"key": key, "value": value} for key, value in hashed],
        "currency": signed.currency,
        "minPrice": signed.reservation_usdc_micros if selling else 0,
        "maxPrice": maximum if selling else signed.reservation_usdc_micros,
        "notBefore": signed.not_before_ms,
        "expiry": signed.expires_at_ms,
        "fills": signed.fills,
        "counter": signed.counter,
        "details": hashlib.sha256(b"agentrooms/mandate/v2\0" + text).digest(),
        "salt": bytes.fromhex(signed.salt),
    }


@given(mandates(), DOMAINS)
def test_a_mandate_is_the_typed_data_that_wallets_sign(signed: Mandate, domain: EscrowDomain) -> None:
    """Digest and struct hash, whatever the mandate says."""
    message = typed(domain, "Mandate", MANDATE_TYPES, as_asked(signed))
    assert mandate.mandate_digest(signed, domain) == digest(message)
    assert mandate.mandate_hash(signed) == message.body.hex()
    assert eip712.domain_separator(domain) == message.header


@given(mandates(), DOMAINS)
def test_what_a_wallet_is_asked_to_sign_is_the_mandate(signed: Mandate, domain: EscrowDomain) -> None:
    """The JSON for `eth_signTypedData_v4`, after a way through JSON, as another encoder reads it."""
    asked = json.loads(json.dumps(mandate.typed_data(signed, domain)))
    message = encode_typed_data(full_message=asked)
    assert digest(message) == mandate.mandate_digest(signed, domain)
    assert (message.header, message.body.hex()) == (eip712.domain_separator(domain), mandate.mandate_hash(signed))
    for kind, fields in asked["types"].items():
        values = {"EIP712Domain": asked["domain"], "Mandate": asked["message"]}.get(kind)
        assert values is None or list(values) == [field["name"] for field in fields]


@given(terms())
def test_a_deal_is_the_typed_data_that_agents_sign_and_verifiers_attest(agreed: Terms) -> None:
    """The deal's own digest, and the attestation over its struct hash."""
    text = json.dumps(msgspec.to_builtins(agreed), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    message = typed(
        agreed.domain,
        "Deal",
        DEAL_TYPES,
        {
            "dealId": other_keccak(text=agreed.deal),
            "sellerMandate": bytes.fromhex(agreed.seller_mandate),
            "buyerMandate": bytes.fromhex(agreed.buyer_mandate),
            "collection": agreed.collection,
            "tokenId": int(agreed.item.token_id),
            "currency": agreed.currency,
            "price": agreed.price_usdc_micros,
            "deadline": agreed.deadline_ms,
            "details": hashlib.sha256(b"agentrooms/deal/v2\0" + text).digest(),
        },
    )
    assert deal.deal_digest(agreed) == digest(message)
    assert deal.deal_hash(agreed) == message.body.hex()
    attested = {"deal": message.body, "setVersion": agreed.set_version}
    assert attestation_digest(agreed) == digest(typed(agreed.domain, "Attestation", ATTESTATION_TYPES, attested))


def test_what_a_wallet_signs_is_its_mandate() -> None:
    """End to end: a wallet's own library signs the typed data, and the mandate counts as signed."""
    key = samples.wallet_key("buyer")
    message = typed(LEDGER.domain, "Mandate", MANDATE_TYPES, as_asked(samples.BUYER.mandate))
    signature = bytes(Account.sign_message(message, key).signature).hex()
    assert signature == samples.BUYER.signature
    assert Account.from_key(key).address.lower() == samples.BUYER.mandate.principal
    assert mandate.is_signed(mandate.SignedMandate(samples.BUYER.mandate, signature), LEDGER.domain)


@pytest.mark.parametrize(
    "changes",
    [
        {"escrow": ""},
        {"escrow": "0x" + "E" * 40},
        {"chain_id": -1},
        {"collection": "0x1"},
        {"currency": "0x" + "g" * 40},
        {"seller_mandate": "0"},
        {"buyer_mandate": "A" * 64},
        {"price_usdc_micros": -1},
        {"deadline_ms": -1},
        {"item": Item("Punk #1", "", {})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_said_to_the_escrow_is_refused(changes: dict[str, Any]) -> None:
    """Two spellings of one address, or a number that wraps around, would be two deals with one hash."""
    with pytest.raises(InvalidInput):
        deal.deal_digest(msgspec.structs.replace(samples.TERMS, **changes))


@given(st.integers())
def test_a_word_holds_what_it_is_given_or_refuses_it(value: int) -> None:
    """Nothing wraps around."""
    if 0 <= value <= WORD_MAX:
        assert int.from_bytes(eip712.uint(value)) == value
    else:
        with pytest.raises(InvalidInput):
            eip712.uint(value)


@given(st.binary(min_size=32, max_size=32))
def test_a_signature_here_is_the_wallets(message: bytes) -> None:
    """Deterministic, and the same bytes as eth_account's."""
    key = samples.wallet_key("a")
    theirs = Account.unsafe_sign_hash(message, key)
    assert secp256k1.sign(key, message) == bytes(theirs.signature).hex()
