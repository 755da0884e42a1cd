"""The text to sign against the grammar of EIP-4361 and RFC 3986, read here by a parser of its own."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.api.auth.siwe import SignInText, checksum_address, signed_digest
from agentrooms.domain.secp256k1 import address_of, recover

ORIGINS = ["http://127.0.0.1:8000", "https://agentrooms.example", "http://localhost:3000", "https://a-b.c.example:8443"]

# The ABNF of the EIP, rule by rule. `pchar` and the like are those of RFC 3986, appendix A.
UNRESERVED = r"[A-Za-z0-9\-._~]"
PCT = r"%[0-9A-Fa-f]{2}"
SUB_DELIMS = r"[!$&'()*+,;=]"
RESERVED = r"[:/?#\[\]@!$&'()*+,;=]"
PCHAR = rf"(?:{UNRESERVED}|{PCT}|{SUB_DELIMS}|[:@])"
REG_NAME = rf"(?:{UNRESERVED}|{PCT}|{SUB_DELIMS})*"
USERINFO = rf"(?:{UNRESERVED}|{PCT}|{SUB_DELIMS}|:)*"
AUTHORITY = rf"(?:{USERINFO}@)?{REG_NAME}(?::[0-9]*)?"
URI = rf"[A-Za-z][A-Za-z0-9+\-.]*://{AUTHORITY}(?:/{PCHAR}*)*(?:\?(?:{PCHAR}|[/?])*)?(?:#(?:{PCHAR}|[/?])*)?"
DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
MESSAGE = re.compile(
    rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*)://)?(?P<domain>{AUTHORITY}) wants you to sign in with your Ethereum account:\n"
    rf"(?P<address>0x[0-9A-Fa-f]{{40}})\n"
    rf"\n"
    rf"(?:(?P<statement>(?:{RESERVED}|{UNRESERVED}| )+)\n)?"
    rf"\n"
    rf"URI: (?P<uri>{URI})\n"
    rf"Version: (?P<version>1)\n"
    rf"Chain ID: (?P<chain_id>[0-9]+)\n"
    rf"Nonce: (?P<nonce>[A-Za-z0-9]{{8,}})\n"
    rf"Issued At: (?P<issued_at>{DATE_TIME})"
    rf"(?:\nExpiration Time: (?P<expiration_time>{DATE_TIME}))?"
    rf"(?:\nNot Before: (?P<not_before>{DATE_TIME}))?"
    rf"(?:\nRequest ID: (?P<request_id>{PCHAR}*))?"
    rf"(?P<resources>\nResources:(?:\n- {URI})*)?"
)

texts = st.builds(
    SignInText,
    origin=st.sampled_from(ORIGINS),
    wallet=st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    chain_id=st.integers(1, 2**53),
    nonce=st.uuids(version=4).map(lambda one: one.hex),
    issued_at_ms=st.integers(0, 4_000_000_000_000),
    expires_at_ms=st.integers(0, 4_000_000_000_000),
)


@given(text=texts)
def test_every_text_follows_the_grammar_and_says_what_it_was_made_of(text: SignInText) -> None:
    read = MESSAGE.fullmatch(str(text))
    assert read is not None
    said = read.groupdict()
    assert said == {
        "scheme": None,
        "domain": text.origin.split("://")[1],
        "address": to_checksum_address(text.wallet),
        "statement": text.statement,
        "uri": text.origin,
        "version": "1",
        "chain_id": str(text.chain_id),
        "nonce": text.nonce,
        "issued_at": said["issued_at"],
        "expiration_time": said["expiration_time"],
        "not_before": None,
        "request_id": None,
        "resources": None,
    }
    times = [datetime.fromisoformat(said[name]).timestamp() for name in ("issued_at", "expiration_time")]
    assert [round(time * 1_000) for time in times] == [text.issued_at_ms, text.expires_at_ms]


@given(text=texts, key=st.binary(min_size=32, max_size=32).filter(any))
def test_what_a_wallet_signs_is_what_we_recover(text: SignInText, key: bytes) -> None:
    """By eth-account's personal_sign, which is not ours."""
    try:
        account = Account.from_key(key)
    except ValueError:  # beyond the curve's order
        return
    signature = account.sign_message(encode_defunct(text=str(text))).signature
    assert recover(signed_digest(str(text)), bytes(signature).hex()) == address_of(key)


@pytest.mark.parametrize(
    "address",
    [  # of EIP-55
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
    ],
)
def test_addresses_are_spelled_as_the_standard_says(address: str) -> None:
    assert checksum_address(address.lower()) == address
