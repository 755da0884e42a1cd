"""What settlement and verifiers need of a chain. The simulation's ledger and EVM chains implement it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from agentrooms.consensus.judgement import Case, Facts
from agentrooms.domain.deal import Receipt, Terms, Vote
from agentrooms.domain.site import Site
from agentrooms.errors import AgentroomsError


class ChainError(AgentroomsError):
    """The chain cannot do what was asked of it, or was asked for something that is not on it."""


class ChainUnreachable(ChainError):
    """The chain did not answer in time, or refused for now; asked again it may."""


class Execution(msgspec.Struct, frozen=True):
    """Everything the escrow needs to settle one deal, published in its transaction."""

    case: Case
    votes: tuple[Vote, ...]

    @property
    def terms(self) -> Terms:
        """The terms of the deal."""
        return self.case.terms


class RawTransaction(msgspec.Struct, frozen=True):
    """A signed transaction and its hash, known before it is sent; sending it twice is sending it once."""

    tx_hash: str
    raw: bytes


class Sent(msgspec.Struct, frozen=True):
    """How far a transaction is. `receipt` is there once it is final; `stuck` asks for one at a higher price.

    `again_ms` says when to look again.
    """

    confirmations: int = 0
    wanted: int = 1
    receipt: Receipt | None = None
    stuck: bool = False
    again_ms: int = 1_000


class Standing(msgspec.Struct, frozen=True):
    """What the final chain says of a deal: its time, and the receipt of whatever transaction executed the deal."""

    at_ms: int
    executed: Receipt | None = None


class ChainView(Protocol):
    """One chain with one escrow, to look at. Times in milliseconds of chain time."""

    @property
    def site(self) -> Site:
        """The chain's id and the addresses on it, part of everything signed for it."""

    def facts(self, case: Case, at_ms: int) -> Facts:
        """Returns what the chain knows of the parties, the item and the deal, in one view.

        A simulated chain's time moves up to `at_ms`; a real one has its own.
        """


class Chain(ChainView, Protocol):
    """The same, to settle on."""

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the one transaction that settles the deal; nothing is sent. Asked again, the same."""

    def reprice(self, tx_hash: str) -> RawTransaction:
        """Returns a transaction that takes a stuck one's place: the same nonce, a higher price. Asked again, the same."""

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends a transaction; a second time changes nothing."""

    def sent(self, tx_hash: str) -> Sent:
        """Returns how far a transaction that was sent is."""

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        """Returns what the final chain says of the deal, whoever executed it."""
