"""Makes a read schema anew beside the old one, then swaps them in one transaction; and compares two schemas.

A live projector goes on with the old tables until the swap and with the new ones after it: the epoch tells it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg import sql

from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import CONNECT_TIMEOUT_S, connect
from agentrooms.events.store import EventStore
from agentrooms.projections.model import Model
from agentrooms.projections.projector import MIGRATIONS, Projector
from agentrooms.projections.writing import Place, commit
from agentrooms.services.failpoints import hit
from agentrooms.services.migrations import migrate

_LOG = logging.getLogger(__name__)

REBUILD_BATCH_EVENTS = 20_000
NEXT, OLD = "_next", "_old"  # what the schemas are called meanwhile
LOCK_KEY = 0x41525052  # first half of the advisory lock; the schema's name is the other half
NAME_BYTES_MAX = 63 - len(NEXT)  # Postgres cuts longer names
SWAP_TIMEOUT_MS = 30_000  # how long the swap waits for the live projector, and the end for readers of the old tables
TABLES_FIRST = 1  # migrations before the tables are filled; indexes are built after

Progress = Callable[[int, int], None]
"""Told the position reached and the log's head."""


class RebuildRefused(AgentroomsError):
    """A rebuild cannot begin or cannot swap; the tables in use are as they were."""


class Difference(msgspec.Struct, frozen=True):
    """Rows of one table or view that only one of two schemas has, with one of them as JSON."""

    table: str
    only_in_a: int
    only_in_b: int
    example: str

    def __str__(self) -> str:
        return f"{self.table}: {self.only_in_a} rows only in the first, {self.only_in_b} only in the second: {self.example}"


def rebuild(store: EventStore, dsn: str, schema: str, progress: Progress | None = None) -> int:
    """Makes the tables of `schema` anew from the whole log; returns the position they hold.

    What an earlier rebuild left unfinished is dropped.

    Raises:
        RebuildRefused: another rebuild of the schema runs, its name is too long, or the swap waits for too long.
        Unprojectable: an event cannot be projected; the tables in use stay.
    """
    if len(schema.encode()) > NAME_BYTES_MAX:
        raise RebuildRefused(f"schema name {schema!r} is longer than {NAME_BYTES_MAX} bytes")
    with alone(dsn, schema) as connection:
        filled = fill(store, dsn, schema + NEXT, progress)
        hit("rebuild.before_swap")
        try:
            _swap(connection, schema, filled)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise RebuildRefused(
                f"schema {schema!r} is in use by a transaction that does not end: {error}",
                hint="end long reads, then run the rebuild again",
            ) from error
        finally:
            filled.close()
        return filled.position


def fill(store: EventStore, dsn: str, schema: str, progress: Progress | None = None) -> Projector:
    """Makes a schema with the tables as the log up to its head makes them; drops what was there.

    Returns a projector that can go on from there. Raises Unprojectable.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        _drop(connection, schema)
    migrate(dsn, schema, MIGRATIONS[:TABLES_FIRST])
    with connect(dsn, schema) as connection:
        connection.execute("SET synchronous_commit = off")  # the swap, which is not, makes all before it durable
        _fill(store, connection, progress)
        migrate(dsn, schema, MIGRATIONS)
        for name in _relations(connection, schema, "r"):
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))
    projector = Projector(store, dsn, schema, batch_events=REBUILD_BATCH_EVENTS)
    while projector.step():
        pass
    return projector


def _fill(store: EventStore, connection: psycopg.Connection, progress: Progress | None) -> None:
    """Folds the log batch by batch; while one is folded, the one before it is written."""
    model, written = Model(store, 0, (), []), Place(0, 0)
    writing: Future[bool] | None = None
    with ThreadPoolExecutor(max_workers=1) as writer:
        while found := store.read(after=model.position, limit=REBUILD_BATCH_EVENTS):
            changes, _touched = model.apply(found)
            _check(writing)
            writing = writer.submit(commit, connection, changes, written, model.position)
            written = Place(model.position, 0)
            if progress is not None:
                progress(model.position, max(model.position, store.head()))
        _check(writing)


def _check(writing: Future[bool] | None) -> None:
    """Waits until a batch is written."""
    if writing is not None and not writing.result():
        raise RebuildRefused("another process writes these tables", hint="wait until that rebuild has ended")


def compare(dsn: str, a: str, b: str) -> list[Difference]:
    """Returns where the tables and views of two read schemas differ; nothing when they hold the same.

    Positions count as part of what they hold, epochs do not. Raises InvalidInput when one is no read schema.
    """
    found = []
    with psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        names = [_relations(connection, schema, "r", "v") for schema in (a, b)]
        for name in sorted({*names[0], *names[1]}):
            if name not in names[0] or name not in names[1]:
                found.append(Difference(name, int(name in names[0]), int(name in names[1]), "the table itself"))
            elif (difference := _difference(connection, name, a, b)) is not None:
                found.append(difference)
    return found


@contextmanager
def alone(dsn: str, schema: str) -> Iterator[psycopg.Connection]:
    """Gives a connection whose life is the right to rebuild or check a schema. Raises RebuildRefused."""
    lock = [LOCK_KEY, schema]
    with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", lock).fetchone()
        if row != (True,):
            raise RebuildRefused(f"schema {schema!r} is being rebuilt or checked", hint="wait until that has ended")
        try:
            yield connection
        finally:
            if not connection.closed:  # by itself the server would let go of it only a moment after we are gone
                connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", lock)


def _swap(connection: psycopg.Connection, schema: str, filled: Projector) -> None:
    """Puts the new tables in place of the old ones.

    With the old cursor locked no projector can commit there; so the new tables can be brought as far as the old
    ones, and no reader sees the position go back. Who is reading the old tables may finish: they are dropped after.
    """
    old, cursor = schema + OLD, sql.Identifier(schema, "cursor")
    connection.execute(sql.SQL("SET lock_timeout = {}").format(SWAP_TIMEOUT_MS))
    _drop(connection, old)
    with connection.transaction():
        epoch = 0
        if "cursor" in _relations(connection, schema, "r"):
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(cursor))
            row = connection.execute(sql.SQL("SELECT position, epoch FROM {}").format(cursor)).fetchone()
            position, epoch = row if row is not None else (0, 0)
            while filled.position < position and filled.step():
                pass
            _rename(connection, schema, old)
        else:
            _drop(connection, schema)
        _rename(connection, schema + NEXT, schema)
        connection.execute(sql.SQL("UPDATE {} SET epoch = %s").format(cursor), [epoch + 1])
        hit("rebuild.in_swap")
    try:
        _drop(connection, old)
    except psycopg.errors.LockNotAvailable:
        _LOG.warning("%s is still being read; the next rebuild drops it", old)


def _rename(connection: psycopg.Connection, name: str, to: str) -> None:
    connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))


def _drop(connection: psycopg.Connection, schema: str) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _relations(connection: psycopg.Connection, schema: str, *kinds: str) -> list[str]:
    """Returns the tables ("r") or views ("v") of a read schema by name."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind::text = ANY(%s) AND c.relname <> 'schema_version' ORDER BY c.relname",
        [schema, list(kinds)],
    )
    return [name for (name,) in rows]


def _difference(connection: psycopg.Connection, name: str, a: str, b: str) -> Difference | None:
    one, two = _only(connection, name, a, b), _only(connection, name, b, a)
    if not one[0] and not two[0]:
        return None
    return Difference(name, one[0], two[0], one[1] or two[1] or "")


def _only(connection: psycopg.Connection, name: str, here: str, there: str) -> tuple[int, str | None]:
    """Returns how many rows only the first schema's table has, and one of them as JSON."""
    query = sql.SQL(
        "SELECT count(*), min(x.line) FROM ("
        " SELECT (to_jsonb(h) - 'epoch')::text AS line FROM {} AS h"
        " EXCEPT ALL SELECT (to_jsonb(t) - 'epoch')::text FROM {} AS t) AS x"
    ).format(sql.Identifier(here, name), sql.Identifier(there, name))
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0], row[1]
