"""What settlement needs of a chain. The simulation's ledger and, later, EVM chains implement it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from agentrooms.consensus.judgement import Facts
from agentrooms.domain.deal import Receipt, Terms, Vote
from agentrooms.domain.mandate import SignedMandate
from agentrooms.errors import AgentroomsError


class ChainError(AgentroomsError):
    """The chain cannot do what was asked of it, or was asked for something that is not on it."""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the escrow needs to settle one deal, published in its transaction."""

    terms: Terms
    buyer: SignedMandate
    seller: SignedMandate
    votes: tuple[Vote, ...]


class RawTransaction(msgspec.Struct, frozen=True):
    """A signed transaction and its hash, known before it is sent; sending it twice is sending it once."""

    tx_hash: str
    raw: bytes


class Chain(Protocol):
    """One chain with one escrow. Times in milliseconds of chain time."""

    @property
    def chain_id(self) -> int:
        """The chain's id, part of everything signed for it."""

    @property
    def escrow(self) -> str:
        """The escrow contract's address."""

    def facts(self, terms: Terms, at_ms: int) -> Facts:
        """Returns what the chain knows of the parties, the item and the deal, in one final view.

        A simulated chain's time moves up to `at_ms`; a real one has its own.
        """

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the transaction that settles the deal; nothing is sent."""

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends a transaction; a second time changes nothing."""

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Returns the final receipt, None while there is none."""
