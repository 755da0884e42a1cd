"""Which chain a run or an installation settles on, as plain data, and how it is opened."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from agentrooms.chain.ledger import LEDGER, LedgerChain, Provided
from agentrooms.chain.port import Chain, ChainError, ChainView
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.vault import Vault

ARK_REQUESTS_PER_MINUTE = 90  # of the 100 that a node of ARK's answers one client


class ChainMode(StrEnum):
    """Kinds of chains; the values are those of CHAIN_MODE."""

    LEDGER = "ledger"
    DEVNET = "devnet"
    ANVIL = "anvil"
    ARK = "ark"


class RegisteredChain(Chain, Protocol):
    """A chain whose escrow knows a verifier set."""

    def register(self, verifiers: VerifierSet) -> None:
        """Makes sure that the escrow counts certificates against this set."""


@runtime_checkable
class ProvidedChain(RegisteredChain, Protocol):
    """A chain that can be given money, items and verifiers: any but a public one."""

    def provide(self, provided: Provided) -> None:
        """Gives all of it, once a key."""


class ChainSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One chain. A block counts as final with so many `confirmations`, itself among them. Without a `url` it lives in the process that opens it, in virtual time, in the file `path` if given.

    `relayer` is the 32-byte key that pays for transactions on a public chain; a devnet's is known to everybody.
    """

    mode: ChainMode = ChainMode.LEDGER
    site: Site = LEDGER
    url: str = ""
    path: str = ""
    start_ms: int = 0
    relayer: bytes = b""
    confirmations: int = 1

    @property
    def provided(self) -> bool:
        """Whether mock wallets can be given money and items there."""
        return self.mode is not ChainMode.ARK

    @property
    def public(self) -> ChainSpec:
        """The same without its key, for those who only look."""
        return msgspec.structs.replace(self, relayer=b"")

    def open(self, memory: Vault) -> RegisteredChain:
        """Returns the chain, to settle on. `memory` outlives the process. One process at a time settles."""
        if self.mode is ChainMode.LEDGER:
            return LedgerChain(memory)
        from agentrooms.chain.evm.opening import open_evm  # noqa: PLC0415 - half a second, and only some need it

        return open_evm(self, memory)

    def open_provided(self, memory: Vault) -> ProvidedChain:
        """Returns the same of a chain that can be given money and items. Raises ChainError for a public one."""
        chain = self.open(memory)
        if not isinstance(chain, ProvidedChain):
            raise ChainError(f"chain {self.site.chain_id} is public: nobody can be given money there")
        return chain

    def view(self) -> ChainView | None:
        """Returns the chain to look at through a client of one's own, None where it has no address."""
        if not self.url:
            return None
        from agentrooms.chain.evm.opening import view_evm  # noqa: PLC0415 - see open

        return view_evm(self)


def run_spec(mode: ChainMode, start_ms: int, path: Path | None = None) -> ChainSpec:
    """Returns the chain of a reproducible run, which is its own and begins at the run's start."""
    if mode is ChainMode.LEDGER:
        return ChainSpec()
    from agentrooms.chain.evm.devnet import site_of  # noqa: PLC0415 - see ChainSpec.open

    return ChainSpec(mode=mode, site=site_of(), path=str(path or ""), start_ms=start_ms)
