"""Compares the tables of a read schema with what the log makes of them now, while both go on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import psycopg
from psycopg import sql

from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import CONNECT_TIMEOUT_S
from agentrooms.events.store import EVERYTHING, Condition, Conflict, EventStore, Positioned, Query, StoredEvent
from agentrooms.projections.rebuild import Difference, Progress, alone, compare, fill

PRUNED = ("messages", "floor_path")  # tables that clean-up takes rooms out of, once they are archived
CHECK = "_check"  # what the second schema is called, behind the first one's name


class NothingToCheck(AgentroomsError):
    """There are no tables."""


class _UpTo:
    """A log that ends where one says."""

    def __init__(self, store: EventStore, last: int) -> None:
        self.last = last
        self._store = store

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        return self._store.append(events, condition)

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        return [found for found in self._store.read(query, after=after, limit=limit) if found.position <= self.last]

    def head(self) -> int:
        return self.last


def check(
    store: EventStore, dsn: str, schema: str, progress: Progress | None = None, archived: Sequence[str] = ()
) -> list[Difference]:
    """Makes the tables once more in a schema of their own; returns where those in use differ from them.

    The live projector waits while the two are compared, so both hold exactly the same events. What was said in rooms
    that are `archived` may have left the tables in use, all of it.

    Raises:
        RebuildRefused: the schema is being rebuilt or checked.
        NothingToCheck: there is no such schema.
        Unprojectable: an event cannot be projected.
    """
    with alone(dsn, schema) as connection:
        log = _UpTo(store, _position(connection, schema))
        try:
            made = fill(log, dsn, schema + CHECK, progress)
            with connection.transaction():
                # Readers go on, a projector waits: the cursor cannot move.
                connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(schema, "cursor")))
                log.last = _position(connection, schema)
                with contextlib.closing(made):
                    while made.step():
                        pass
                _leave_out(dsn, schema, archived)
                return compare(dsn, schema, schema + CHECK)
        finally:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema + CHECK)))


def _leave_out(dsn: str, schema: str, archived: Sequence[str]) -> None:
    """Takes out of the new tables what clean-up took out of those in use; commits it, so that the comparison sees it."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        for table in PRUNED:
            query = sql.SQL(
                "DELETE FROM {} AS n WHERE room = ANY(%s) AND NOT EXISTS (SELECT FROM {} AS o WHERE o.room = n.room)"
            )
            names = (sql.Identifier(schema + CHECK, table), sql.Identifier(schema, table))
            connection.execute(query.format(*names), [list(archived)])


def _position(connection: psycopg.Connection, schema: str) -> int:
    query = sql.SQL("SELECT position FROM {}").format(sql.Identifier(schema, "cursor"))
    try:
        row = connection.execute(query).fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise NothingToCheck(
            f"there are no tables in schema {schema!r}", hint="make them with `agentrooms projections rebuild`"
        ) from error
    assert row is not None, "the cursor is made with its table"
    return int(row[0])
