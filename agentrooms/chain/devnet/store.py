"""The file of a chain: state, blocks, transactions and receipts in SQLite, one database transaction a block.

A block is wholly there or not at all, whenever the process is killed. `synchronous=FULL` makes its commit one
fsync of the write-ahead log, so that it outlives a power cut too: what the log says was settled stays settled.
The file is locked for one process.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from eth.abc import AtomicWriteBatchAPI
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB

from agentrooms.chain.devnet.engine import Block, EngineError, EngineUnusable, Genesis, Receipt, Transaction
from agentrooms.chain.devnet.transactions import decode

CACHE_MAX = 100_000  # entries of the state kept in memory, some 200 bytes each
DRAFT = ".new"  # added to the name of a copy that is being written
FORMAT = 1
LOCK_TIMEOUT_S = 0.5  # for the file of a process that is just ending
SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash TEXT UNIQUE NOT NULL, block BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
    hash TEXT PRIMARY KEY, sender TEXT NOT NULL, raw BLOB NOT NULL, receipt BLOB NOT NULL
) WITHOUT ROWID;
"""


class State(BaseAtomicDB):
    """What py-evm keeps: hashes to nodes. New ones wait in memory until their block is stored."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cache: dict[bytes, bytes] = {}
        self.fresh: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        for layer in (self.fresh, self._cache):
            if key in layer:
                return layer[key]
        row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        value: bytes = row[0]
        self._remember({key: value})
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.fresh[key] = value

    def __delitem__(self, key: bytes) -> None:
        raise AssertionError("state is content-addressed: py-evm deletes none of it, however long a chain is")

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    @contextlib.contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:  # noqa: SLF001 -- as py-evm's own AtomicDB does
            yield batch

    def settle(self) -> None:
        """Takes the new entries as stored."""
        self._remember(self.fresh)
        self.fresh = {}

    def _remember(self, entries: dict[bytes, bytes]) -> None:
        if len(self._cache) + len(entries) > CACHE_MAX:
            self._cache.clear()
        self._cache.update(entries)


class Store:
    """One chain in a file, or in memory without a path.

    Raises:
        EngineUnusable: the file cannot be opened, is in use, or is of another chain.
    """

    def __init__(self, path: Path | None, genesis: Genesis) -> None:
        self.genesis = genesis
        self.path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(SCHEMA)
            self._check_genesis()
        except (sqlite3.Error, OSError) as error:
            raise EngineUnusable(
                f"the chain's file {path} cannot be used: {error}",
                hint="another process may have it open; or remove it to begin a new chain",
            ) from error
        self.state = State(self._connection)

    def add(self, block: Block, entries: list[tuple[Transaction, Receipt]]) -> None:
        """Stores a block with all that belongs to it, and returns when the disk has it.

        Raises:
            EngineError: it cannot be stored; nothing of it is.
        """
        rows = [(tx.hash, tx.sender, tx.raw, msgspec.json.encode(receipt)) for tx, receipt in entries]
        run = self._connection
        try:
            run.execute("BEGIN IMMEDIATE")
            run.executemany("INSERT OR IGNORE INTO state VALUES (?, ?)", self.state.fresh.items())
            run.executemany("INSERT INTO transactions VALUES (?, ?, ?, ?)", rows)
            run.execute("INSERT INTO blocks VALUES (?, ?, ?)", (block.number, block.hash, msgspec.json.encode(block)))
            run.execute("COMMIT")
        except sqlite3.Error as error:
            if run.in_transaction:
                run.execute("ROLLBACK")
            self.state.fresh = {}
            raise EngineError(f"block {block.number} cannot be stored in {self.path}: {error}") from error
        self.state.settle()

    def last(self) -> Block | None:
        return self._block("SELECT block FROM blocks ORDER BY number DESC LIMIT 1")

    def block(self, number: int) -> Block | None:
        return self._block("SELECT block FROM blocks WHERE number = ?", number)

    def block_by_hash(self, block_hash: str) -> Block | None:
        return self._block("SELECT block FROM blocks WHERE hash = ?", block_hash)

    def transaction(self, transaction_hash: str) -> Transaction | None:
        row = self._row("SELECT raw, sender FROM transactions WHERE hash = ?", transaction_hash)
        return None if row is None else decode(row[0], self.genesis.chain_id, sender=row[1])

    def receipt(self, transaction_hash: str) -> Receipt | None:
        row = self._row("SELECT receipt FROM transactions WHERE hash = ?", transaction_hash)
        return None if row is None else msgspec.json.decode(row[0], type=Receipt)

    def copy(self, path: Path) -> None:
        """Writes all blocks to another file, at once: no other connection can read this one while it is locked.

        Raises:
            EngineError: it cannot be written; a file that was there stays.
        """
        draft = path.with_name(path.name + DRAFT)
        try:
            draft.unlink(missing_ok=True)  # of a process that was killed
            with contextlib.closing(sqlite3.connect(draft)) as target:
                target.execute("PRAGMA journal_mode = MEMORY")  # a draft needs none beside it
                self._connection.backup(target)
            draft.replace(path)
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise EngineError(f"the chain cannot be copied to {path}: {error}", hint="is the disk full?") from error

    def close(self) -> None:
        self._connection.close()

    def _block(self, query: str, *values: object) -> Block | None:
        row = self._row(query, *values)
        return None if row is None else msgspec.json.decode(row[0], type=Block)

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return row

    def _check_genesis(self) -> None:
        ours = msgspec.json.encode({"format": FORMAT, "genesis": self.genesis})
        self._connection.execute("INSERT OR IGNORE INTO about VALUES ('chain', ?)", (ours,))
        row = self._row("SELECT value FROM about WHERE name = 'chain'")
        if row is None or row[0] != ours:
            raise EngineUnusable(
                f"{self.path} holds another chain: {row[0].decode() if row else None}",
                hint="use its settings, or another file",
            )
