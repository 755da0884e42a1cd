"""The port of one EVM chain, without HTTP: what an engine does, the records it gives, the errors it raises.

Hashes and addresses are lower-case hex with 0x, data is bytes, money is in wei. Times are milliseconds everywhere; only
`block.timestamp` inside the EVM counts ticks of `ms_per_tick` milliseconds, 1 as on Mainsail or 1000 as on other chains.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from agentrooms.domain.eip712 import ZERO_ADDRESS, keccak
from agentrooms.domain.secp256k1 import address_of
from agentrooms.errors import AgentroomsError

CHAIN_ID = 11_812_000  # of the first devnet; more devnets count on from here
ZERO_HASH = "0x" + 64 * "0"
COINBASE = "0x" + keccak(b"agentrooms devnet coinbase")[-20:].hex()
GWEI = 10**9
GAS_PRICE_MIN_WEI = 5 * GWEI
GAS_PRICE_MAX_WEI = 10_000 * GWEI
TX_GAS_MAX = 5_000_000
BLOCK_GAS_LIMIT = 10_000_000
START_MS = 1_767_225_600_000  # 2026-01-01, the genesis of a chain that names no other
FUNDS_WEI = 10**9 * 10**18

# Everybody knows these keys: they sign on chains that are worth nothing.
DEPLOYER_KEY = keccak(b"agentrooms devnet deployer")
RELAYER_KEY = keccak(b"agentrooms devnet relayer")


class EngineError(AgentroomsError):
    """The engine cannot do what was asked of it."""


class EngineUnusable(EngineError):
    """The engine, or the file of its chain, cannot be started or used."""


class TransactionRefused(EngineError):
    """A transaction is not taken into the pool; `reason` is one word of `REFUSALS`."""

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        assert reason in REFUSALS, reason
        super().__init__(message, hint=hint)
        self.reason = reason


class Reverted(EngineError):
    """A call or an estimate ends in an error of the EVM; `data` is what the contract gave with it."""

    def __init__(self, data: bytes = b"", why: str = "execution reverted") -> None:
        super().__init__(why)
        self.data = data


REFUSALS = frozenset(
    {
        "malformed",
        "typed",
        "too_large",
        "chain_id",
        "signature",
        "gas_price",
        "gas_limit",
        "nonce_low",
        "nonce_gap",
        "known",
        "underpriced",
        "balance",
        "pool_full",
    }
)


class Genesis(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain begins with. Equal ones, with equal transactions at equal times, give equal block hashes."""

    chain_id: int = CHAIN_ID
    start_ms: int = START_MS
    ms_per_tick: int = 1
    funded: tuple[str, ...] = (address_of(DEPLOYER_KEY), address_of(RELAYER_KEY))  # each begins with FUNDS_WEI


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A mined block; `transactions` are hashes."""

    number: int
    hash: str
    parent_hash: str
    timestamp_ms: int
    gas_used: int
    gas_limit: int
    miner: str
    state_root: str
    transactions_root: str
    receipts_root: str
    logs_bloom: str
    transactions: tuple[str, ...]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A signed legacy transaction; `to` is None when it deploys."""

    hash: str
    raw: bytes
    sender: str
    to: str | None
    nonce: int
    gas: int
    gas_price_wei: int
    value_wei: int
    data: bytes
    v: int
    r: int
    s: int


class LogEntry(msgspec.Struct, frozen=True):
    """What a contract emitted."""

    address: str
    topics: tuple[str, ...]
    data: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mined transaction."""

    transaction_hash: str
    transaction_index: int
    block_hash: str
    block_number: int
    sender: str
    to: str | None
    gas_used: int
    cumulative_gas_used: int
    effective_gas_price_wei: int
    contract_address: str | None
    logs: tuple[LogEntry, ...]
    logs_bloom: str
    succeeded: bool


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A message that changes nothing; `to` is None for a deployment whose gas is to be estimated."""

    to: str | None
    data: bytes = b""
    sender: str = ZERO_ADDRESS
    value_wei: int = 0
    gas: int = BLOCK_GAS_LIMIT
    gas_price_wei: int = 0


class Engine(Protocol):
    """One chain: its head, its state at the head, and a pool whose transactions the next block takes.

    One thread at a time. Addresses that were never used have balance 0, nonce 0 and no code.
    """

    @property
    def genesis(self) -> Genesis:
        """What the chain began with."""

    @property
    def path(self) -> Path | None:
        """The chain's file, None for one in memory."""

    def head(self) -> Block:
        """Returns the last block."""

    def block(self, number: int) -> Block | None: ...

    def block_by_hash(self, block_hash: str) -> Block | None: ...

    def balance(self, address: str) -> int: ...

    def nonce(self, address: str) -> int:
        """Returns how many transactions of the address are mined."""

    def code(self, address: str) -> bytes: ...

    def storage(self, address: str, slot: int) -> bytes:
        """Returns the 32 bytes of a storage slot."""

    def call(self, call: Call, at_ms: int | None = None) -> bytes:
        """Returns what a message would return at the head, in a block of the head's number at `at_ms` or the head's time.

        Raises:
            Reverted: it ends in an error.
        """

    def estimate(self, call: Call, at_ms: int | None = None) -> int:
        """Returns the gas with which a transaction like the message succeeds at the head.

        Raises:
            Reverted: it fails with any gas up to `call.gas`.
        """

    def submit(self, raw: bytes) -> str:
        """Takes a signed transaction into the pool and returns its hash.

        Raises:
            TransactionRefused: it is not valid, or not valid now; the pool is as before.
        """

    def pooled(self) -> tuple[str, ...]:
        """Returns the hashes of what waits in the pool, in the order of arrival."""

    def mine(self, timestamp_ms: int) -> Block:
        """Mines one block of what is in the pool; when this returns, the block outlives the process.

        Raises:
            EngineError: the time is not later than the head's.
        """

    def transaction(self, transaction_hash: str) -> Transaction | None:
        """Returns a mined transaction."""

    def receipt(self, transaction_hash: str) -> Receipt | None:
        """Returns the receipt of a mined transaction."""

    def copy(self, path: Path) -> None:
        """Writes the chain as of its head to another file, from which it can be opened; one that is there is replaced.

        The file is there whole or as it was before. What is in the pool is not copied.

        Raises:
            EngineError: it cannot be written.
        """

    def close(self) -> None:
        """Ends the engine; what is in the pool is forgotten."""
