"""Numbered SQL files that bring a schema to the program's version, each once, in order, whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from agentrooms.errors import AgentroomsError

FOLDER = "migrations"
FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LOCK_KEY = 0x41524D47  # first half of the advisory lock; the schema's name is the other half
LOCK_TIMEOUT_MS = 120_000  # how long to wait for another process that migrates the same schema
CONNECT_TIMEOUT_S = 10

_CREATE = """
    CREATE SCHEMA IF NOT EXISTS {schema};
    CREATE TABLE IF NOT EXISTS {schema}.schema_version (
        number integer PRIMARY KEY,
        name text NOT NULL,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationRefused(AgentroomsError):
    """The schema cannot be brought to the program's version; what is in it stays as it was."""


@dataclass(frozen=True)
class Migration:
    """One numbered step; its text never changes once it is released."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The hash under which the database remembers the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}"


def load(package: str) -> tuple[Migration, ...]:
    """Returns the migrations in a package's `migrations/` folder, in order.

    Raises:
        MigrationRefused: a file's name is not `NNNN_name.sql`, or the numbers are not 1, 2, 3, ...
    """
    found: list[Migration] = []
    for file in files(package).joinpath(FOLDER).iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = FILE_NAME.fullmatch(file.name)
        if match is None:
            raise MigrationRefused(f"{file.name} in {package} is not named NNNN_name.sql", hint="rename it")
        text = "\n".join(file.read_text(encoding="utf-8").splitlines())  # the hash must not depend on line ends
        found.append(Migration(int(match[1]), match[2], text))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationRefused(f"migrations of {package} are numbered {numbers}", hint="number them 1, 2, 3, ...")
    return tuple(found)


def migrate(dsn: str, schema: str, migrations: Sequence[Migration]) -> list[int]:
    """Makes the schema if need be and applies what it lacks; returns the numbers applied now.

    Each migration is one transaction with `search_path` set to the schema alone. Processes that do this at
    once wait for each other.

    Raises:
        MigrationRefused: a migration fails, was changed after it was applied, or is unknown to this program.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_TIMEOUT_MS))
            connection.execute("SET client_min_messages = warning")
            # Held until the connection closes, also when this process is killed.
            connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LOCK_KEY, schema])
            with connection.transaction():
                connection.execute(sql.SQL(_CREATE).format(schema=sql.Identifier(schema)))
            missing = migrations[_applied(connection, schema, migrations) :]
            for migration in missing:
                _apply(connection, schema, migration)
            return [migration.number for migration in missing]
    except psycopg.Error as error:
        raise MigrationRefused(f"schema {schema!r} cannot be migrated: {str(error).strip()}") from error


def _applied(connection: psycopg.Connection, schema: str, migrations: Sequence[Migration]) -> int:
    """Returns how many of the migrations the schema has, having compared them."""
    query = sql.SQL("SELECT number, name, sha256 FROM {}.schema_version ORDER BY number")
    rows = connection.execute(query.format(sql.Identifier(schema))).fetchall()
    if len(rows) > len(migrations):
        raise MigrationRefused(
            f"schema {schema!r} is at version {rows[-1][0]}; this program knows {len(migrations)}",
            hint="use the newer version of the program that wrote it",
        )
    for (number, name, sha256), migration in zip(rows, migrations, strict=False):
        if (number, name, sha256) != (migration.number, migration.name, migration.sha256):
            raise MigrationRefused(
                f"schema {schema!r} was made with another {number:04}_{name} than this program's {migration}",
                hint="a released migration never changes: undo the change and add a new file",
            )
    return len(rows)


def _apply(connection: psycopg.Connection, schema: str, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
            connection.execute(migration.text.encode())
            if connection.info.transaction_status != TransactionStatus.INTRANS:
                raise MigrationRefused(f"migration {migration} ends its transaction", hint="remove COMMIT and ROLLBACK")
            connection.execute(
                sql.SQL("INSERT INTO {}.schema_version (number, name, sha256) VALUES (%s, %s, %s)").format(
                    sql.Identifier(schema)
                ),
                [migration.number, migration.name, migration.sha256],
            )
    except psycopg.Error as error:
        raise MigrationRefused(f"migration {migration} of schema {schema!r} failed: {str(error).strip()}") from error
