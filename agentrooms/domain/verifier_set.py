"""Verifier sets: exactly seven keys a version; a certificate counts against one version only."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from agentrooms.domain.event import Event
from agentrooms.errors import Rejection

VERIFIERS = 7
QUORUM = 5  # more than two thirds of seven: two quorums share three verifiers, at most two of them faulty


class Verifier(msgspec.Struct, frozen=True):
    """One member of a set: its id and Ed25519 public key (hex)."""

    id: str
    public_key: str


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
        return next((v.public_key for v in self.verifiers if v.id == verifier), None)


def evolve(_current: VerifierSet, event: VerifierSetRegistered) -> VerifierSet:
    """Returns the set after the event."""
    return VerifierSet(event.version, event.chain_id, event.escrow, event.verifiers)


def register(
    current: VerifierSet, chain_id: int, escrow: str, verifiers: tuple[Verifier, ...]
) -> list[VerifierSetRegistered]:
    """Registers the next version. Raises Rejection unless it is seven distinct members with distinct keys."""
    ordered = tuple(sorted(verifiers, key=lambda v: v.id))
    distinct = {v.id for v in ordered}, {v.public_key for v in ordered}
    if len(ordered) != VERIFIERS or any(len(names) != VERIFIERS for names in distinct):
        raise Rejection(f"a verifier set has exactly {VERIFIERS} distinct members, was {len(ordered)}")
    if (current.chain_id, current.escrow, current.verifiers) == (chain_id, escrow, ordered):
        return []
    return [VerifierSetRegistered(chain_id, escrow, ordered, current.version + 1)]
