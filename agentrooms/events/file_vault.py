"""A vault in one SQLite file, for a service that has no database: what is put is on the disk when `put` returns."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from agentrooms.events.store import StoreError
from agentrooms.events.vault import MemoryVault, NotInVault

LOCK_TIMEOUT_S = 10.0  # for another process that writes
T = TypeVar("T")
_SCHEMA = "CREATE TABLE IF NOT EXISTS vault (key TEXT PRIMARY KEY, secret BLOB NOT NULL) WITHOUT ROWID"


class FileVault:
    """Implements `Vault` over a file that is made if need be; for many threads and processes."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError for a file that cannot be used."""
        self._path = path
        self._lock = threading.Lock()
        try:
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(
                path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path} cannot be opened: {error}", hint="is its folder there and writable?") from error
        try:
            self._work(self._prepare)
        except StoreError:
            self.close()
            raise

    def put(self, key: str, secret: bytes) -> None:
        """Keeps a secret; the same again changes nothing. Raises NotInVault when other bytes hold the key."""
        self.put_many({key: secret})

    def put_many(self, secrets: Mapping[str, bytes]) -> None:
        """Keeps all secrets or none. Raises NotInVault when other bytes hold a key, or StoreError."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for key, secret in secrets.items():
                    connection.execute("INSERT INTO vault VALUES (?, ?) ON CONFLICT DO NOTHING", (key, secret))
                    (kept,) = connection.execute("SELECT secret FROM vault WHERE key = ?", (key,)).fetchone()
                    if kept != secret:
                        raise NotInVault(f"the vault holds other bytes for {key}")
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

        self._work(work)

    def get(self, key: str) -> bytes:
        """Returns a secret. Raises NotInVault or StoreError."""
        row = self._work(lambda c: c.execute("SELECT secret FROM vault WHERE key = ?", (key,)).fetchone())
        if row is None:
            raise NotInVault(f"the vault holds nothing for {key}", hint="a live room's archive is sealed: no secrets")
        secret: bytes = row[0]
        return secret

    def export(self) -> bytes:
        """Returns all secrets as canonical lines, sorted by key; `MemoryVault.load` reads them."""
        vault = MemoryVault()
        for key, secret in self._work(lambda c: c.execute("SELECT key, secret FROM vault").fetchall()):
            vault.put(key, secret)
        return vault.export()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    @staticmethod
    def _prepare(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit is one fsync of the write-ahead log
        connection.execute(_SCHEMA)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._lock:
                return work(self._connection)
        except UnicodeEncodeError as error:
            raise NotInVault("a surrogate is in no key of a vault", hint="keys are hashes or names") from error
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path} cannot be used: {error}", hint="is the disk full, or the file damaged?"
            ) from error
