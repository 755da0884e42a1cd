"""Logs of finished runs, mixed into one: many rooms at once, as a live log has them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import sql

from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.postgres import connect
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import Condition, StoredEvent
from agentrooms.projections import agents, deals, floor_path, messages
from agentrooms.projections.rebuild import compare, fill
from tests.domain.runs import RUNS, engine

MIXED = ("small", "balanced", "underfunded", "competition")  # other seeds each, so other ids
TABLES = {
    "deals": (deals.TABLE, "locked_event"),
    "agents": (agents.TABLE, "joined_event"),
    "messages": (messages.TABLE, "event"),
    "floor_path": (floor_path.TABLE, "event"),
}


@lru_cache(maxsize=8)
def stored(name: str) -> tuple[StoredEvent, ...]:
    """The events of one run, as stored."""
    run, silent = RUNS[name]
    made = engine(run, silent=silent)
    made.run()
    return tuple(found.event for found in made.store.read())


def mixed(seed: int, names: Sequence[str] = MIXED) -> list[StoredEvent]:
    """The events of several runs in one order that keeps the order within each run."""
    rest = [list(reversed(stored(name))) for name in names]
    draw = random.Random(seed)
    found = []
    while any(rest):
        run = draw.choice([events for events in rest if events])
        found += [run.pop() for _ in range(min(len(run), draw.randint(1, 30)))]
    return found


def extend(store: MemoryEventStore, events: Sequence[StoredEvent]) -> None:
    """Appends events to a log."""
    if events:
        store.append(events, Condition((), store.head()))


def log_of(events: Sequence[StoredEvent]) -> MemoryEventStore:
    """A log that holds the events."""
    store = MemoryEventStore()
    extend(store, events)
    return store


def recorded(store: MemoryEventStore) -> list[Recorded]:
    """The decoded events of a log; their places are their positions."""
    return [decode_line(found.event.data) for found in store.read()]


def select(dsn: str, schema: str, query: LiteralString | sql.Composed, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query in a schema."""
    with connect(dsn, schema) as connection:
        return connection.execute(query, values).fetchall()


def assert_tables_are_those_of_the_log(dsn: str, schema: str, store: MemoryEventStore) -> None:
    """The tables equal those that archives make of the same events, and those of a rebuild."""
    events = recorded(store)
    for name, (table, order) in TABLES.items():
        query = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
            sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
            *(sql.Identifier(name), sql.Identifier(order)),
        )
        found = select(dsn, schema, query)
        assert found == [plain(row) for row in table.rows(events)], name
    fill(store, dsn, f"{schema}_again").close()
    assert compare(dsn, schema, f"{schema}_again") == []
    drop(dsn, f"{schema}_again")


def plain(row: msgspec.Struct) -> tuple[Any, ...]:
    """A row's values as SQL gives them."""
    values: tuple[Any, ...] = msgspec.structs.astuple(row)
    return tuple(str(value) if isinstance(value, str) else value for value in values)


def drop(dsn: str, *schemas: str) -> None:
    """Drops schemas."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        for schema in schemas:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
