"""What people hold and allow, asked of the chain before they trade; and the same of the simulation's ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from agentrooms.chain.ledger import LedgerChain
from agentrooms.domain.eip712 import EscrowDomain
from agentrooms.events.vault import Vault


class Head(msgspec.Struct, frozen=True):
    """The newest block; its time is 0 where the chain has none."""

    block: int
    at_ms: int


class Money(msgspec.Struct, frozen=True):
    """What a wallet holds in USDC, and what the escrow may take of it in all. Micro-USDC."""

    balance_usdc_micros: int
    allowance_usdc_micros: int


class MandateState(msgspec.Struct, frozen=True):
    """What the escrow knows of a mandate: deals it was used for, and whether its principal cancelled it."""

    fills: int
    cancelled: bool


class PermitToken(msgspec.Struct, frozen=True):
    """A currency that takes permits (EIP-2612), as a wallet is to name it."""

    name: str
    version: str
    contract: EscrowDomain


class Holdings(Protocol):
    """One chain, asked about people. Addresses in lower case, token ids as decimal text.

    Every method raises ChainUnreachable when the chain does not answer now, and ChainError when our own contracts
    answer as others would. Contracts of others may answer anything: that is then "no", none or an empty text.
    """

    def head(self) -> Head:
        """Returns the newest block."""

    def gas_price_wei(self) -> int:
        """Returns what a transaction should pay a unit of gas, 0 where nobody pays."""

    def has_code(self, address: str) -> bool:
        """Tells whether there is a contract at an address."""

    def owner_of(self, collection: str, token_id: str) -> str | None:
        """Returns who owns an item now, None when there is no such item."""

    def is_approved(self, collection: str, token_id: str, owner: str) -> bool:
        """Tells whether the escrow may move an item of this owner."""

    def money(self, wallet: str) -> Money:
        """Returns what a wallet holds and allows."""

    def permit_token(self) -> PermitToken | None:
        """Returns how the currency is named in permits, None when it takes none."""

    def permit_nonce(self, wallet: str) -> int:
        """Returns the number of a wallet's next permit."""

    def counter(self, wallet: str) -> int:
        """Returns the counter of a wallet in the escrow; mandates of another counter count no more."""

    def mandate_state(self, wallet: str, mandate_hash: str) -> MandateState:
        """Returns what the escrow knows of a wallet's mandate (its hash in hex without 0x)."""

    def is_erc721(self, collection: str) -> bool:
        """Tells whether a contract says that it is an ERC-721 collection."""

    def name(self, collection: str) -> str:
        """Returns what a collection calls itself, "" when it does not say."""

    def token_uri(self, collection: str, token_id: str) -> str:
        """Returns where an item's metadata are, "" when the contract does not say."""

    def held_traits(self, collection: str, token_id: str, traits: dict[str, str]) -> dict[str, str]:
        """Returns those of some traits that the chain confirms (ERC-7496): no deal may rest on others."""

    def contract_signed(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Tells whether a contract's wallet vouches for a signature (ERC-1271)."""

    def close(self) -> None:
        """Gives back what it holds."""


class _Followed(LedgerChain):
    """The ledger as another process writes it."""

    def follow(self) -> None:
        """Reads what was written since."""
        self._kept_all = False
        self._recall()


class LedgerHoldings:
    """The simulation's ledger, read from its memory. No contract is there, so nobody sends it transactions."""

    def __init__(self, memory: Vault, close: Callable[[], None] = lambda: None) -> None:
        """`close` gives back what the memory holds, if it is not its owner's to do."""
        self._memory = memory
        self.close = close
        self._ledger: _Followed | None = None
        self._lock = threading.Lock()

    def _now(self) -> _Followed:
        with self._lock:
            if self._ledger is None:
                self._ledger = _Followed(self._memory)
            self._ledger.follow()
            return self._ledger

    def head(self) -> Head:
        return Head(self._now().block, 0)

    def gas_price_wei(self) -> int:
        return 0

    def has_code(self, address: str) -> bool:
        return address in {self._now().site.escrow, self._now().site.currency}

    def owner_of(self, collection: str, token_id: str) -> str | None:
        return self._now().owners.get((collection, token_id))

    def is_approved(self, collection: str, token_id: str, owner: str) -> bool:
        return (collection, token_id) in self._now().approved and self.owner_of(collection, token_id) == owner

    def money(self, wallet: str) -> Money:
        ledger = self._now()
        return Money(ledger.balances.get(wallet, 0), ledger.allowances.get(wallet, 0))

    def permit_token(self) -> PermitToken | None:
        return None

    def permit_nonce(self, wallet: str) -> int:
        return 0

    def counter(self, wallet: str) -> int:
        return 0

    def mandate_state(self, wallet: str, mandate_hash: str) -> MandateState:
        return MandateState(int(mandate_hash in self._now().used_mandates), cancelled=False)

    def is_erc721(self, collection: str) -> bool:
        ledger = self._now()
        return collection == ledger.site.collection or collection in {one for one, _ in list(ledger.owners)}

    def name(self, collection: str) -> str:
        return ""

    def token_uri(self, collection: str, token_id: str) -> str:
        return ""

    def held_traits(self, collection: str, token_id: str, traits: dict[str, str]) -> dict[str, str]:
        held = self._now().traits.get((collection, token_id), {})
        return {name: value for name, value in traits.items() if held.get(name) == value}

    def contract_signed(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        return False
