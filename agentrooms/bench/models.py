"""Measures how fast read models are rebuilt from a log in Postgres."""

from __future__ import annotations

from contextlib import closing
from time import perf_counter

from agentrooms.bench.rows import Progress, Row, row
from agentrooms.bench.schemas import drop_schema, new_schema
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import Condition, Conflict, QueryItem, StoredEvent
from agentrooms.projections.rebuild import fill
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import custom

AGENTS = 500
RUNS = 12  # their logs together: making and checking the tables costs the same for few events and for many
COPY = 1_000  # events an append, when a run's log is written to Postgres
AIM = 50_000


def run_models(dsn: str, seeds: tuple[int, ...], *, quick: bool, say: Progress) -> list[Row]:
    """Measures a rebuild of all tables from the logs of large swarms."""
    agents = AGENTS // (10 if quick else 1)
    say(f"read models of swarms of {agents} agents")
    log_schema, read_schema = (new_schema() for _one in "ab")
    migrate_log(dsn, log_schema)
    try:
        chosen = tuple(range(seeds[0], seeds[0] + (1 if quick else RUNS)))
        events = sum(_write(dsn, log_schema, seed, agents) for seed in chosen)
        with closing(PostgresLog(dsn, log_schema)) as log:
            begun = perf_counter()
            fill(log, dsn, read_schema).close()
            took = perf_counter() - begun
        return [row("rebuild of all read models", "events", events, took, chosen, aim=AIM)]
    finally:
        drop_schema(dsn, log_schema)
        drop_schema(dsn, read_schema)


def _write(dsn: str, schema: str, seed: int, agents: int) -> int:
    """Writes one run's log after what is there; returns how many events it has."""
    engine = Engine(custom(seed, agents // 2, agents // 2))
    engine.run()
    events: list[StoredEvent] = [positioned.event for positioned in engine.store.read()]
    never = (QueryItem(tags=("nothing has this tag",)),)
    with closing(LogWriter(dsn, schema)) as writer:
        for n in range(0, len(events), COPY):
            assert not isinstance(writer.append(events[n : n + COPY], Condition(never, writer.head())), Conflict)
    return len(events)
