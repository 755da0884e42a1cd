"""Cuts connections to a database, as a network or an administrator does: those of one test, never its neighbours'."""

from __future__ import annotations

import psycopg


def end_connections(dsn: str, schema: str, *, listening: bool = False) -> int:
    """Ends every connection of the database that works in the schema, or those that listen; returns their number."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            " AND datname = current_database() AND application_name = %s AND query LIKE %s",
            [schema, "LISTEN%" if listening else "%"],
        ).fetchone()
    assert ended is not None
    return int(ended[0])
