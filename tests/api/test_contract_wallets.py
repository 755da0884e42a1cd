"""Contract wallets (ERC-1271): their contract is asked about exactly what was signed, and only then."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from agentrooms.accounts.schema import migrate_accounts, open_accounts
from agentrooms.api.auth.signing_in import SIGNATURE_BYTES_MAX, UNDEPLOYED, SignIn
from agentrooms.api.auth.siwe import signed_digest
from agentrooms.api.problems import Problem
from agentrooms.domain.secp256k1 import address_of
from agentrooms.events.postgres import Connections
from agentrooms.services.settings import Settings
from tests.accounts.clock import wallet

CONTRACT, CHAIN = wallet(0xC0), 11_812


@pytest.fixture
def accounts(postgres_dsn: str, fresh_schema: str) -> Iterator[Connections]:
    migrate_accounts(postgres_dsn, fresh_schema)
    with closing(open_accounts(postgres_dsn, fresh_schema)) as connections:
        yield connections


class Chain:
    """What a chain says of one contract: it takes the signatures in `taken`."""

    def __init__(self, *taken: bytes) -> None:
        self.taken, self.asked = taken, list[tuple[str, bytes, bytes]]()

    def __call__(self, address: str, digest: bytes, signature: bytes) -> bool:
        self.asked.append((address, digest, signature))
        return address == CONTRACT and signature in self.taken


def signing_in(accounts: Connections, chain: Chain) -> SignIn:
    return SignIn(accounts, Settings(), bytes(32), "https://agentrooms.example", CHAIN, chain)


@pytest.mark.parametrize("signature", [b"\7", b"\7" * 65, b"\7" * 130, b"\7" * SIGNATURE_BYTES_MAX])
def test_a_contract_is_asked_about_what_was_signed(accounts: Connections, signature: bytes) -> None:
    chain = Chain(signature)
    sign_in = signing_in(accounts, chain)
    challenge = sign_in.challenge(CONTRACT)
    sign_in.prove(CONTRACT, challenge.nonce, signature.hex())
    assert chain.asked == [(CONTRACT, signed_digest(challenge.message), signature)]


@pytest.mark.parametrize(
    ("signature", "asked"),
    [
        ("07", 1),
        ("08" + UNDEPLOYED.hex(), 0),
        ("08" * (SIGNATURE_BYTES_MAX + 1), 0),
        ("", 0),
        ("0x", 0),
        ("8", 0),
        ("zz", 0),
        ("08 ", 0),
    ],
)
def test_what_it_does_not_take_is_refused(accounts: Connections, signature: str, asked: int) -> None:
    """And what cannot be a signature is not asked about at all."""
    chain = Chain(b"\x08")
    sign_in = signing_in(accounts, chain)
    nonce = sign_in.challenge(CONTRACT).nonce
    with pytest.raises(Problem) as raised:
        sign_in.prove(CONTRACT, nonce, signature)
    assert (raised.value.status, raised.value.code, len(chain.asked)) == (401, "signature_invalid", asked)


def test_a_wallet_with_a_key_asks_no_contract(accounts: Connections) -> None:
    key, chain = b"\1" + secrets.token_bytes(31), Chain()
    sign_in = signing_in(accounts, chain)
    challenge = sign_in.challenge(address_of(key))
    signed = Account.from_key(key).sign_message(encode_defunct(text=challenge.message)).signature
    sign_in.prove(address_of(key), challenge.nonce, bytes(signed).hex())
    assert chain.asked == []


def test_a_challenge_of_one_chain_or_origin_is_none_on_another(accounts: Connections) -> None:
    """Two APIs over one database."""
    signature, chain = b"\7" * 65, Chain(b"\7" * 65)
    here = signing_in(accounts, chain)
    for origin, chain_id in (("https://agentrooms.example", 1), ("https://other.example", CHAIN)):
        there = SignIn(accounts, Settings(), bytes(32), origin, chain_id, chain)
        with pytest.raises(Problem, match="not open"):
            there.prove(CONTRACT, here.challenge(CONTRACT).nonce, signature.hex())
