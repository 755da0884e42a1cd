"""Ed25519 keys (PyNaCl): derived from the seed in simulations, drawn at random for real users elsewhere.

Signatures are deterministic (RFC 8032), so signed bytes are reproducible.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

KEYS_CACHED = 4096  # parsed public keys kept; parsing costs as much as half a verification
SIGNATURES_CACHED = 4096  # answers kept; a verification costs 60 microseconds


def derive_key(seed: bytes, purpose: str, name: str) -> SigningKey:
    """Returns the signing key of one simulated wallet, agent or verifier. Never for real users."""
    material = f"{purpose}\x1f{name}".encode()
    return SigningKey(hashlib.blake2b(material, digest_size=32, key=seed, person=b"keys").digest())


def public_hex(key: SigningKey) -> str:
    """Returns the public key as 64 hex digits."""
    return bytes(key.verify_key).hex()


def sign(key: SigningKey, data: bytes) -> str:
    """Returns the signature as 128 hex digits."""
    return key.sign(data).signature.hex()


@lru_cache(maxsize=KEYS_CACHED)
def _verify_key(public_key: str) -> VerifyKey:
    return VerifyKey(_from_hex(public_key))


def _from_hex(text: str) -> bytes:
    """Returns the bytes of lower-case hex without blanks, so that no bytes have two spellings. Raises ValueError."""
    raw = bytes.fromhex(text)
    if raw.hex() != text:
        raise ValueError("not lower-case hex")
    return raw


@lru_cache(maxsize=SIGNATURES_CACHED)
def verify(public_key: str, data: bytes, signature: str) -> bool:
    """Tells whether `signature` over `data` is by `public_key`; malformed hex is simply not a signature.

    A pure function, so its answers are kept: in one process many parties check the same signature.
    """
    try:
        _verify_key(public_key).verify(data, _from_hex(signature))
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True
