"""Where a reproducible run keeps its log in Postgres: a schema of its own, named by what makes the run.

A run that was cut goes on in its schema; one that came to its end is run anew, and the old log is dropped.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from agentrooms.domain.canonical import canonical, digest
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import QueryItem
from agentrooms.events.tags import cmd_tag
from agentrooms.sim.genesis import COMPLETE
from agentrooms.sim.settings import RunSettings

SCHEMA_DIGITS = 16


def run_schema(settings: RunSettings) -> str:
    """Returns the name of the run's schema: equal settings, equal name."""
    return f"run_{digest('agentrooms/run-schema/v1', canonical(settings))[:SCHEMA_DIGITS]}"


def prepare(dsn: str, settings: RunSettings) -> tuple[str, int]:
    """Returns the schema, ready to be written, and how many events of a run that was cut it holds."""
    schema = run_schema(settings)
    migrate_log(dsn, schema)
    log = PostgresLog(dsn, schema)
    try:
        head, complete = log.head(), log.read((QueryItem(tags=(cmd_tag(COMPLETE),)),), limit=1)
    finally:
        log.close()
    if not complete:
        return schema, head
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    migrate_log(dsn, schema)
    return schema, 0
