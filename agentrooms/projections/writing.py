"""Writes the changes of a batch and the cursor, in one transaction that only one projector can win."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import psycopg
from msgspec.structs import astuple
from psycopg import sql

from agentrooms.projections.changes import Changes
from agentrooms.projections.read_rows import READ_TABLES, ReadTable, SwarmRow
from agentrooms.services.failpoints import hit


class Place(msgspec.Struct, frozen=True):
    """How far the tables of a schema are: the fence of whoever writes them."""

    position: int
    epoch: int
    failed_position: int | None = None
    failure: str | None = None


def place(connection: psycopg.Connection) -> Place:
    """Returns how far the tables are."""
    row = connection.execute("SELECT position, epoch, failed_position, failure FROM cursor").fetchone()
    assert row is not None, "the cursor is made with its table"
    return Place(*row)


def open_rooms(connection: psycopg.Connection) -> list[str]:
    """Returns the rooms that may still have events."""
    return [room for (room,) in connection.execute("SELECT room FROM rooms WHERE status = 'active' ORDER BY room")]


def live_swarms(connection: psycopg.Connection) -> list[SwarmRow]:
    """Returns the swarms that may still have events."""
    columns = _columns(SwarmRow.__struct_fields__)
    query = sql.SQL("SELECT {} FROM swarms WHERE status <> 'completed' ORDER BY swarm").format(columns)
    names = SwarmRow.__struct_fields__
    return [msgspec.convert(dict(zip(names, row, strict=True)), SwarmRow) for row in connection.execute(query)]


def commit(connection: psycopg.Connection, changes: Changes, mine: Place, position: int) -> bool:
    """Writes the changes and moves the cursor from `mine` to `position`; False, and nothing, when another one did.

    The cursor comes first: a second projector waits there and finds that it has lost.
    """
    with connection.transaction():
        moved = connection.execute(
            "UPDATE cursor SET position = %s, failed_position = NULL, failure = NULL"
            " WHERE position = %s AND epoch = %s",
            [position, mine.position, mine.epoch],
        )
        won = moved.rowcount == 1
        for table in READ_TABLES if won else ():
            if rows := changes.written.get(table.name):
                _write(connection, table, rows.values())
            if added := changes.added.get(table.name):
                _add(connection, table, added)
        hit("projector.before_commit")
    hit("projector.after_commit")
    return won


def note_failure(connection: psycopg.Connection, mine: Place, position: int, failure: str) -> None:
    """Notes the event at which the projection stands, unless another projector has gone on."""
    connection.execute(
        "UPDATE cursor SET failed_position = %s, failure = %s WHERE position = %s AND epoch = %s",
        [position, failure, mine.position, mine.epoch],
    )


def _add(connection: psycopg.Connection, table: ReadTable, rows: Iterable[msgspec.Struct]) -> None:
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), _columns(table.row.__struct_fields__))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for row in rows:
            copy.write_row(astuple(row))


def _write(connection: psycopg.Connection, table: ReadTable, rows: Iterable[msgspec.Struct]) -> None:
    connection.execute(_UPSERTS[table.name], [msgspec.json.encode(list(rows)).decode()])


def _columns(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _upsert(table: ReadTable) -> sql.Composed:
    """Returns the statement that writes rows given as one JSON array, over those with their keys."""
    name, fields = sql.Identifier(table.name), table.row.__struct_fields__
    new = sql.SQL("COALESCE(EXCLUDED.{column}, {table}.{column})" if table.merged else "EXCLUDED.{column}")
    changed = [
        sql.SQL("{} = {}").format(sql.Identifier(field), new.format(column=sql.Identifier(field), table=name))
        for field in fields
        if field not in table.key
    ]
    return sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::text::json)"
        " ON CONFLICT ({key}) DO UPDATE SET {changed}"
    ).format(table=name, columns=_columns(fields), key=_columns(table.key), changed=sql.SQL(", ").join(changed))


_UPSERTS = {table.name: _upsert(table) for table in READ_TABLES if not table.appended}
