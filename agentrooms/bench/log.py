"""Measures the durable log: appends through the log writer, against raw inserts and the library's own recorder."""

from __future__ import annotations

import secrets
from contextlib import closing
from time import perf_counter

import psycopg
from psycopg import sql

from agentrooms.bench.rows import Progress, Row, against, row, with_times
from agentrooms.bench.schemas import drop_schema, new_schema
from agentrooms.events.dcb import DcbEventStore, library_recorder
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.store import Condition, Conflict, EventStore, QueryItem, StoredEvent

BATCHES = (1, 10, 100, 500)
EVENT_BYTES = 180
EVENTS_MAX = 40_000  # of one measurement
APPENDS_MAX = 1_500
AIM_BATCHES = {100, 500}  # at these, half of raw is the aim
_RAW = """
    CREATE TABLE raw (position bigserial PRIMARY KEY, type text NOT NULL, data bytea NOT NULL, tags text[] NOT NULL);
    CREATE INDEX raw_tags ON raw USING gin (tags)"""
_INSERT = """
    INSERT INTO raw (type, data, tags)
    SELECT t, d, g::text[] FROM unnest(%b::text[], %b::bytea[], %b::text[]) AS row (t, d, g)"""


def run_log(dsn: str, *, quick: bool, say: Progress) -> list[Row]:
    """Measures appends of one caller, each append durable before the next; batches of several sizes."""
    rows: list[Row] = []
    for size in BATCHES:
        say(f"appends of {size} events")
        appends = max(10, min(APPENDS_MAX, EVENTS_MAX // size) // (20 if quick else 1))
        batches = [_batch(n, size) for n in range(appends)]
        raw = _raw(dsn, batches)
        name = f"durable appends of {size}"
        baseline = with_times(row(f"{name}: raw multi-row inserts", "events", appends * size, sum(raw)), raw)
        schema = new_schema()
        migrate_log(dsn, schema)
        with closing(LogWriter(dsn, schema)) as writer:
            ours = _appended(writer, batches)
        drop_schema(dsn, schema)
        aim = baseline.per_second // 2 if size in AIM_BATCHES else None
        written = with_times(row(f"{name}: log writer", "events", appends * size, sum(ours), aim=aim), ours)
        schema = new_schema()
        with library_recorder(dsn, schema) as recorder:
            library = _appended(DcbEventStore(recorder), batches)
        drop_schema(dsn, schema)
        theirs = with_times(row(f"{name}: the library's recorder", "events", appends * size, sum(library)), library)
        rows += [baseline, against(written, baseline), against(theirs, baseline)]
    return rows


def _batch(number: int, size: int) -> list[StoredEvent]:
    """Returns events of a round: two tags each, and its command's on each."""
    return [
        StoredEvent("act.posted", secrets.token_bytes(EVENT_BYTES), (f"agent:agent_{n % 20:02}", "room:room_bench"))
        for n in range(number * size, (number + 1) * size)
    ]


def _appended(store: EventStore, batches: list[list[StoredEvent]]) -> list[float]:
    """Returns the seconds of each append, under the condition a room's round has: nobody else wrote the room."""
    fence = (QueryItem(tags=("room:room_bench",)),)
    times, position = [], 0
    for batch in batches:
        begun = perf_counter()
        outcome = store.append(batch, Condition(fence, position))
        times.append(perf_counter() - begun)
        assert not isinstance(outcome, Conflict)
        position = outcome
    return times


def _raw(dsn: str, batches: list[list[StoredEvent]]) -> list[float]:
    schema, times = new_schema(), []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {0}; SET search_path = {0}").format(sql.Identifier(schema)))
        connection.execute(_RAW)
        for batch in batches:
            columns = [[e.type for e in batch], [e.data for e in batch], [f"{{{','.join(e.tags)}}}" for e in batch]]
            begun = perf_counter()
            connection.execute(_INSERT, columns, binary=True)
            times.append(perf_counter() - begun)
    drop_schema(dsn, schema)
    return times
