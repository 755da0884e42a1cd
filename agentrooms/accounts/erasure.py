"""Erasing a person: every row that names the user, in every table of the schema."""

from __future__ import annotations

from psycopg import sql

from agentrooms.events.postgres import Connection, Connections

OWNER = "user_id"  # the column by which a table says whose a row is
PEOPLE = "people"


def erase(connections: Connections, user: str) -> dict[str, int]:
    """Deletes all rows of a user, all or none; returns how many of each table. Raises StoreError."""

    def work(connection: Connection) -> dict[str, int]:
        with connection.transaction():
            tables = sorted(owned_tables(connection), key=lambda table: (table != PEOPLE, table))
            return {table: _delete(connection, table, user) for table in tables}

    return connections.repeat(work)


def stays(connection: Connection, user: str) -> bool:
    """Tells whether a user is there, and keeps them until the transaction ends: nothing is written behind an erasure."""
    query = "SELECT FROM people WHERE user_id = %s FOR KEY SHARE"
    return connection.execute(query, [user]).fetchone() is not None


def owned_tables(connection: Connection) -> list[str]:
    """Returns the tables of the schema whose rows belong to users, by name."""
    rows = connection.execute(
        "SELECT c.table_name::text FROM information_schema.columns c JOIN information_schema.tables t"
        "  USING (table_schema, table_name)"
        " WHERE c.table_schema = current_schema() AND c.column_name = %s AND t.table_type = 'BASE TABLE'"
        " ORDER BY 1",
        [OWNER],
    )
    return [str(table) for (table,) in rows.fetchall()]


def _delete(connection: Connection, table: str, user: str) -> int:
    query = sql.SQL("DELETE FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(OWNER))
    return connection.execute(query, [user]).rowcount
