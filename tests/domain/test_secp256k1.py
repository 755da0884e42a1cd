"""Signatures of wallets, sessions and attestations: who signed what, and in one spelling only."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.secp256k1 import address_of, derive_secret, recover, sign
from tests.domain.samples import KEY, wallet_key

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DIGESTS = st.binary(min_size=32, max_size=32)
NAMES = st.sampled_from(["a", "b", "c"])


def parts(signature: str) -> tuple[int, int, int]:
    raw = bytes.fromhex(signature)
    return int.from_bytes(raw[:32]), int.from_bytes(raw[32:64]), raw[64]


def joined(r: int, s: int, v: int) -> str:
    return (r.to_bytes(32) + s.to_bytes(32) + bytes([v])).hex()


@given(DIGESTS, DIGESTS, NAMES)
def test_a_signature_names_its_signer_and_digest(digest: bytes, other: bytes, name: str) -> None:
    """The key's address comes out for this digest and for no other."""
    key = wallet_key(name)
    signature = sign(key, digest)
    assert recover(digest, signature) == address_of(key)
    assert (recover(other, signature) == address_of(key)) == (other == digest)
    assert sign(key, digest) == signature


@given(DIGESTS, NAMES)
def test_the_twin_of_a_signature_is_refused(digest: bytes, name: str) -> None:
    """Who has (r, s) can compute (r, n - s): with it the escrow would count one verifier twice, or a log have two texts."""
    signature = sign(wallet_key(name), digest)
    r, s, v = parts(signature)
    assert s <= ORDER // 2
    assert v in (27, 28)
    assert recover(digest, joined(r, ORDER - s, 55 - v)) is None
    assert recover(digest, joined(r, ORDER - s, v)) is None


@given(DIGESTS, st.binary(max_size=70))
def test_any_bytes_give_an_address_or_nothing(digest: bytes, raw: bytes) -> None:
    """Never an exception, and never from another length."""
    found = recover(digest, raw.hex())
    assert found is None or len(raw) == 65


@given(DIGESTS, st.text(max_size=140))
def test_any_text_gives_an_address_or_nothing(digest: bytes, text: str) -> None:
    """Whatever stands where a signature is due."""
    assert recover(digest, text) is None or len(text) == 130


@given(DIGESTS, st.integers(0, 255), st.sampled_from([0, ORDER, ORDER + 1, 2**256 - 1]))
def test_numbers_that_no_signature_has_are_refused(digest: bytes, v: int, number: int) -> None:
    """Zero, and what is not below the group's order; a v that is not 27 or 28."""
    signature = sign(wallet_key("a"), digest)
    r, s, good = parts(signature)
    assert recover(digest, joined(number, s, good)) is None
    assert recover(digest, joined(r, number, good)) is None
    if v not in (27, 28):
        assert recover(digest, joined(r, s, v)) is None


@given(DIGESTS)
def test_a_signature_has_one_spelling(digest: bytes) -> None:
    """No upper case, prefix, blank or compact form of the same bytes counts."""
    signature = sign(wallet_key("a"), digest)
    r, s, v = parts(signature)
    compact = joined(r, s | (v - 27) << 255, v)[:128]  # EIP-2098
    others = [signature.upper(), "0x" + signature, signature + " ", f" {signature}", signature[:-2], compact]
    others.append(signature[:2] + " " + signature[2:])
    others.append(joined(r, s, v - 27))
    assert [recover(digest, other) for other in others if other != signature] == [None] * len(others)


def test_keys_derive_from_seed_purpose_and_name() -> None:
    """Two of them never meet, and a golden value: another here means that all past runs read differently."""
    secrets = {derive_secret(KEY, purpose, name) for purpose in ("wallet", "session") for name in ("a", "b", "ab")}
    assert len(secrets) == 6
    assert len({address_of(secret) for secret in secrets}) == 6
    assert derive_secret(KEY, "x\x1fy", "z") == derive_secret(KEY, "x", "y\x1fz")  # purposes hold no separator
    assert address_of((1).to_bytes(32)) == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"  # the well-known one of key 1
