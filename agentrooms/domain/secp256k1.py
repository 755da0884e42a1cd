"""Secp256k1 signatures as Ethereum has them (libsecp256k1 through coincurve): wallets, session keys, attestations.

Signatures are deterministic (RFC 6979) and low in s; 65 bytes r, s, v in hex, v being 27 or 28.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from coincurve import PrivateKey, PublicKey

from agentrooms.domain.eip712 import ADDRESS_BYTES, keccak

SIGNATURE_BYTES = 65
SIGNATURES_CACHED = 4096  # answers kept; a recovery costs 50 microseconds
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_V = (27, 28)


def derive_secret(seed: bytes, purpose: str, name: str) -> bytes:
    """Returns the 32-byte key of one simulated wallet, session or verifier. Never for real users.

    A hash that is no key (one in 2**128) would raise when it is used.
    """
    material = f"{purpose}\x1f{name}".encode()
    return hashlib.blake2b(material, digest_size=32, key=seed, person=b"secp256k1").digest()


@lru_cache(maxsize=1024)
def address_of(key: bytes) -> str:
    """Returns the address of a 32-byte private key, in lower-case hex."""
    return _address(PrivateKey(key).public_key)


def sign(key: bytes, digest: bytes) -> str:
    """Returns the signature over a 32-byte digest as 130 hex digits."""
    raw = PrivateKey(key).sign_recoverable(digest, hasher=None)
    return (raw[:64] + bytes([raw[64] + _V[0]])).hex()


@lru_cache(maxsize=SIGNATURES_CACHED)
def recover(digest: bytes, signature: str) -> str | None:
    """Returns the address that signed, None for what is no signature: bad hex, length, v, or a high s.

    Each signature has one spelling here, as in the escrow.
    """
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return None
    if len(raw) != SIGNATURE_BYTES or raw.hex() != signature or raw[64] not in _V:
        return None
    if int.from_bytes(raw[32:64], "big") > _HALF_ORDER:
        return None
    try:
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] - _V[0]]), digest, hasher=None)
    except ValueError:  # r and s that belong to no key
        return None
    return _address(key)


def _address(key: PublicKey) -> str:
    return "0x" + keccak(key.format(compressed=False)[1:])[-ADDRESS_BYTES:].hex()
