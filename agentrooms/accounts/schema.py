"""The schema `accounts`: what is kept of people beside the log, so that it can be erased."""

from __future__ import annotations

import time
from typing import LiteralString

from agentrooms.events.postgres import Connection, Connections
from agentrooms.services import migrations

SCHEMA = "accounts"
DAY_MS = 86_400_000


def migrate_accounts(dsn: str, schema: str = SCHEMA) -> list[int]:
    """Brings the schema to this program's version; returns the migrations applied. Raises MigrationRefused."""
    return migrations.migrate(dsn, schema, migrations.load("agentrooms.accounts"))


def open_accounts(dsn: str, schema: str = SCHEMA, patience_s: float | None = None) -> Connections:
    """Returns connections to the schema for many threads, as patient as `Connections` says; close them at the end."""
    return Connections(dsn, schema, patience_s)


def now_ms() -> int:
    """Returns the wall clock's time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def prune(connection: Connection, table: LiteralString, condition: LiteralString, values: list[object]) -> None:
    """Deletes rows that are over. Waits for nobody: what another holds right now is left for the next time."""
    connection.execute(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - both are texts of this program
        f"SELECT ctid FROM {table} WHERE {condition} FOR UPDATE SKIP LOCKED))",
        values,
    )
