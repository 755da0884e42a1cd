"""Verifier sets: exactly seven keys a version; a certificate counts against one version only."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain import secp256k1
from agentrooms.domain.canonical import canonical
from agentrooms.domain.eip712 import EscrowDomain, keccak
from agentrooms.domain.event import Event
from agentrooms.domain.keys import public_hex, sign, verify
from agentrooms.errors import Rejection

VERIFIERS = 7
QUORUM = 5  # more than two thirds of seven: two quorums share three verifiers, at most two of them faulty


class Verifier(msgspec.Struct, frozen=True):
    """One member of a set: its id, its Ed25519 public key (hex) and the address whose attestations the escrow counts.

    Each key has signed for the other, so nobody registers a key that is not theirs beside their own.
    """

    id: str
    public_key: str
    address: str
    address_proof: str
    public_key_proof: str


def bond(name: str, public_key: str, address: str) -> bytes:
    """Returns what both keys of a verifier sign."""
    return b"agentrooms/verifier/v1\0" + canonical([name, public_key, address])


def member(name: str, key: SigningKey, secret: bytes) -> Verifier:
    """Returns a verifier's public side. `key` signs statements, the 32-byte `secret` attestations."""
    public, address = public_hex(key), secp256k1.address_of(secret)
    bound = bond(name, public, address)
    return Verifier(name, public, address, secp256k1.sign(secret, keccak(bound)), sign(key, bound))


def is_bound(verifier: Verifier) -> bool:
    """Tells whether each key has signed for the other."""
    bound = bond(verifier.id, verifier.public_key, verifier.address)
    by_address = secp256k1.recover(keccak(bound), verifier.address_proof) == verifier.address
    return by_address and verify(verifier.public_key, bound, verifier.public_key_proof)


class VerifierSetRegistered(Event, frozen=True):
    """From now on deals name this version of the set."""

    chain_id: int
    escrow: str
    verifiers: tuple[Verifier, ...]
    version: int


@dataclass(frozen=True, slots=True)
class VerifierSet:
    """The current set; version 0 is none."""

    version: int = 0
    chain_id: int = 0
    escrow: str = ""
    verifiers: tuple[Verifier, ...] = ()

    def key_of(self, verifier: str) -> str | None:
        """Returns the public key of a member, None for anybody else."""
        found = self.member(verifier)
        return found.public_key if found is not None else None

    def member(self, verifier: str) -> Verifier | None:
        """Returns a member, None for anybody else."""
        return next((v for v in self.verifiers if v.id == verifier), None)

    @property
    def domain(self) -> EscrowDomain:
        """The escrow that this set attests for."""
        return EscrowDomain(self.chain_id, self.escrow)


def evolve(_current: VerifierSet, event: VerifierSetRegistered) -> VerifierSet:
    """Returns the set after the event."""
    return VerifierSet(event.version, event.chain_id, event.escrow, event.verifiers)


def register(
    current: VerifierSet, escrow: EscrowDomain, verifiers: tuple[Verifier, ...]
) -> list[VerifierSetRegistered]:
    """Registers the next version. Raises Rejection unless it is seven distinct members with distinct, bound keys."""
    ordered = tuple(sorted(verifiers, key=lambda v: v.id))
    distinct = {v.id for v in ordered}, {v.public_key for v in ordered}, {v.address for v in ordered}
    unbound = [v.id for v in ordered if not is_bound(v)]
    if unbound:
        raise Rejection(f"the two keys of {unbound[0]} have not signed for each other", hint="make it with `member`")
    if len(ordered) != VERIFIERS or any(len(names) != VERIFIERS for names in distinct):
        raise Rejection(f"a verifier set has exactly {VERIFIERS} distinct members, was {len(ordered)}")
    if (current.domain, current.verifiers) == (escrow, ordered):
        return []
    return [VerifierSetRegistered(escrow.chain_id, escrow.address, ordered, current.version + 1)]
