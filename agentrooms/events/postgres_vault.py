"""A vault in Postgres, in the schema of the log that refers to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from psycopg import sql

from agentrooms.events.postgres import Connection, Connections
from agentrooms.events.vault import MemoryVault, NotInVault

_PUT = """
    INSERT INTO {table} (key, secret) SELECT * FROM unnest(%b::text[], %b::bytea[])
    ON CONFLICT (key) DO NOTHING"""
_DIFFERS = """
    SELECT key FROM unnest(%b::text[], %b::bytea[]) AS new (key, secret) JOIN {table} AS kept USING (key)
    WHERE kept.secret <> new.secret LIMIT 1"""


class PostgresVault:
    """Implements `Vault` over one table (`vault`, or `memory`), for many threads and processes."""

    def __init__(self, dsn: str, schema: str, table: str = "vault", patience_s: float | None = None) -> None:
        """`patience_s` is that of Connections."""
        self._connections = Connections(dsn, schema, patience_s)
        name = sql.Identifier(table)
        self._put, self._differs = sql.SQL(_PUT).format(table=name), sql.SQL(_DIFFERS).format(table=name)
        self._get = sql.SQL("SELECT secret FROM {} WHERE key = %b").format(name)
        self._all = sql.SQL("SELECT key, secret FROM {}").format(name)

    def put(self, key: str, secret: bytes) -> None:
        """Keeps a secret; the same again changes nothing. Raises NotInVault when other bytes hold the key."""
        self.put_many({key: secret})

    def put_many(self, secrets: Mapping[str, bytes]) -> None:
        """Keeps all secrets or none. Raises NotInVault when other bytes hold a key, or StoreError."""
        for key in secrets:
            _check(key)
        ordered = sorted(secrets.items())  # two that put the same keys at once wait for each other in one order
        parameters = [[key for key, _ in ordered], [secret for _, secret in ordered]]

        def work(connection: Connection) -> None:
            with connection.transaction():
                added = connection.execute(self._put, parameters, binary=True).rowcount
                if added < len(ordered):
                    differs = connection.execute(self._differs, parameters, binary=True).fetchone()
                    if differs is not None:
                        raise NotInVault(f"the vault holds other bytes for {differs[0]}")

        if ordered:
            self._connections.repeat(work)

    def get(self, key: str) -> bytes:
        """Returns a secret. Raises NotInVault or StoreError."""
        _check(key)
        row = self._connections.repeat(lambda connection: connection.execute(self._get, [key], binary=True).fetchone())
        if row is None:
            raise NotInVault(f"the vault holds nothing for {key}", hint="a live room's archive is sealed: no secrets")
        return cast("bytes", row[0])

    def export(self) -> bytes:
        """Returns all secrets as canonical lines, sorted by key; `MemoryVault.load` reads them."""
        rows = self._connections.repeat(lambda connection: connection.execute(self._all, binary=True).fetchall())
        vault = MemoryVault()
        for key, secret in cast("list[tuple[str, bytes]]", rows):
            vault.put(key, secret)
        return vault.export()

    def close(self) -> None:
        """Closes its connections."""
        self._connections.close()


def _check(key: str) -> None:
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in key):  # what no text of Postgres can hold
        raise NotInVault(f"{key!r} is no key of a vault", hint="keys are hashes or names")
