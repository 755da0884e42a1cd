"""What a remote verifier and those who ask it say over HTTP, and how a request is signed.

A request carries its caller's Ed25519 signature over the verifier it is for, the path, the time, a nonce and the
body; so nobody can change one, send it elsewhere, or send it again. What a vote is worth, its own signatures say.
Nothing here hides a body from who can read the wire: between networks, TLS does.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from nacl.signing import SigningKey

from agentrooms.consensus.judgement import Case
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Vote
from agentrooms.domain.keys import derive_key, public_hex, sign, verify

SCHEME = "Agentrooms-Ed25519"
RUN_CONSENSUS = "/run-consensus"
REQUEST_BYTES_MAX = 128 * 1024  # a case with two mandates of a hundred items each is 30 KB
ANSWER_BYTES_MAX = 64 * 1024
NONCE_BYTES = 16
SKEW_MS = 30_000  # how far the clocks of caller and verifier may be apart
_DOMAIN = b"agentrooms/verifier-request/v1\0"
_HEADER = re.compile(rf"{SCHEME} ([0-9a-f]{{64}})\.([0-9]{{1,15}})\.([0-9a-f]{{32}})\.([0-9a-f]{{128}})")


class RunConsensus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Asks for a verifier's vote on a deal. The last three fields are taken and never believed: it looks for itself."""

    deal_id: str
    case: Case
    nft_ownership: bool | None = None
    buyer_balance: int | float | None = None
    signatures: tuple[str, ...] = ()


class Consensus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One verifier's answer: `approved` is its own word, worth one of the `threshold` that execute a deal."""

    approved: bool
    verifier_count: int
    approval_count: int
    threshold: int
    vote: Vote


class Credentials(msgspec.Struct, frozen=True):
    """Who signed a request, when, and with what."""

    caller: str
    at_ms: int
    nonce: str
    signature: str


def caller_key(secret: bytes) -> SigningKey:
    """Returns the key that an installation signs its requests with. `secret` are the installation's 32 bytes."""
    return derive_key(secret, "verifier-caller", "")


def authorization(key: SigningKey, verifier: str, path: str, body: bytes, *, at_ms: int, nonce: bytes) -> str:
    """Returns the header `Authorization` of a POST. `verifier` is the public key (hex) of the one it is for."""
    caller = public_hex(key)
    signature = sign(key, _signed_bytes(verifier, path, body, caller, at_ms, nonce.hex()))
    return f"{SCHEME} {caller}.{at_ms}.{nonce.hex()}.{signature}"


def credentials(header: str) -> Credentials | None:
    """Returns what a header says, None for one that is none of ours."""
    found = _HEADER.fullmatch(header)
    return None if found is None else Credentials(found[1], int(found[2]), found[3], found[4])


def is_authentic(given: Credentials, verifier: str, path: str, body: bytes) -> bool:
    """Tells whether the caller signed this very request to this verifier."""
    signed = _signed_bytes(verifier, path, body, given.caller, given.at_ms, given.nonce)
    return verify(given.caller, signed, given.signature)


def _signed_bytes(verifier: str, path: str, body: bytes, caller: str, at_ms: int, nonce: str) -> bytes:
    return _DOMAIN + canonical([verifier, path, hashlib.sha256(body).hexdigest(), caller, at_ms, nonce])
