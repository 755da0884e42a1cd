"""A log in Postgres: its SQL, and `PostgresLog`, through which any process may read and append.

Conditions are checked in SQL while the row of `log_head` is locked, so appends wait for each other. The log
writer has a quicker way for itself (`postgres_fence.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from psycopg.types.numeric import Int8

from agentrooms.events.postgres import Connection, Connections, channel
from agentrooms.events.store import (
    EVERYTHING,
    Condition,
    Conflict,
    Positioned,
    Query,
    StoredEvent,
    StoreError,
)

PAGE_EVENTS = 5_000  # what one read asks the server for at a time
TAG_BYTES_MAX = 1_000  # an index entry of Postgres holds 2.7 kB
APPEND_BYTES_MAX = 16 * 1024 * 1024

# One statement, so one round trip and one transaction: whatever `head` finds decides whether rows are written.
INSERT = """
    inserted AS (
        INSERT INTO events (position, type, data, tags)
        SELECT head.was + new.n, new.type, new.data, new.tags::text[]
        FROM head, unnest(%b::text[], %b::bytea[], %b::text[]) WITH ORDINALITY AS new (type, data, tags, n)
    )
    SELECT was, pg_notify(%b, now_at::text) FROM head"""

_LOCK = "SELECT position FROM log_head FOR UPDATE"
_APPEND = (
    """WITH conflict AS MATERIALIZED ({conflict}), head AS (
        UPDATE log_head SET position = position + %b WHERE NOT EXISTS (SELECT FROM conflict)
        RETURNING position - %b AS was, position AS now_at
    ),"""  # noqa: S608 -- fixed texts
    + INSERT
)
_ROWS = "SELECT position, type, data, tags FROM events WHERE position > %b AND {where}"
# The planner would walk the whole log in order when it hopes to find `LIMIT` rows soon; a tag that is rare, or
# absent, makes that hope wrong. So what the tag index finds is gathered first.
_BY_TAG = "WITH found AS MATERIALIZED (" + _ROWS + ") SELECT * FROM found ORDER BY position LIMIT %b"  # noqa: S608 -- the same
_IN_ORDER = _ROWS + " ORDER BY position LIMIT %b"
_ANY = "WITH found AS MATERIALIZED (SELECT FROM events WHERE position > %b AND {where}) SELECT FROM found LIMIT 1"


class Rows(NamedTuple):
    """Events as columns, ready to be parameters of INSERT."""

    types: list[str]
    datas: list[bytes]
    tags: list[str]  # Postgres array literals
    size: int  # bytes

    @classmethod
    def of(cls, events: Sequence[StoredEvent]) -> Rows:
        """Returns the columns of events. Raises StoreError for what the log cannot hold."""
        if not events:
            raise StoreError("an append holds at least one event", hint="do not append when nothing happened")
        types = [event.type for event in events]
        datas = [event.data for event in events]
        tags = [_literal(event.tags) for event in events]
        size = sum(map(len, datas)) + _check_text(types) + _check_text(tags)
        if size > APPEND_BYTES_MAX:
            raise StoreError(
                f"an append of {size} bytes exceeds {APPEND_BYTES_MAX}", hint="append in several smaller steps"
            )
        return cls(types, datas, tags, size)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Returns the rows of several appends as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            [one for part in parts for one in part.types],
            [one for part in parts for one in part.datas],
            [one for part in parts for one in part.tags],
            sum(part.size for part in parts),
        )

    def parameters(self, schema: str) -> tuple[object, ...]:
        """Returns the parameters of INSERT."""
        return self.types, self.datas, self.tags, channel(schema)


def check_query(query: Query) -> Query:
    """Returns the query. Raises StoreError for texts the database cannot compare with."""
    for item in query:
        _check_text([*item.tags, *item.types])
    return query


def read(connection: Connection, query: Query, after: int, limit: int | None) -> list[Positioned]:
    """Returns matching events after a position, in order, at most `limit` of them."""
    where, parameters, by_tag = _where(query)
    statement = (_BY_TAG if by_tag else _IN_ORDER).format(where=where)
    found: list[Positioned] = []
    while limit is None or len(found) < limit:
        page = PAGE_EVENTS if limit is None else min(PAGE_EVENTS, limit - len(found))
        rows = _rows(connection, statement, [Int8(after), *parameters, page])
        found += [Positioned(p, StoredEvent(type_, data, tuple(tags))) for p, type_, data, tags in rows]
        if len(rows) < page:
            break
        after = found[-1].position
    return found


def matches(connection: Connection, query: Query, after: int) -> bool:
    """Says whether a matching event stands after the position."""
    where, parameters, _ = _where(query)
    return bool(_rows(connection, _ANY.format(where=where), [Int8(after), *parameters]))


def head(connection: Connection) -> int:
    """Returns the last position."""
    return cast("int", _rows(connection, "SELECT position FROM log_head", [])[0][0])


class PostgresLog:
    """The log of one schema, for any process and thread."""

    def __init__(self, dsn: str, schema: str, patience_s: float | None = None) -> None:
        """`patience_s` is that of Connections."""
        self.dsn, self.schema = dsn, schema
        self._connections = Connections(dsn, schema, patience_s)

    def append(self, events: Sequence[StoredEvent], condition: Condition | None) -> int | Conflict:
        """Appends all events, or returns the conflict and appends none; None states no condition.

        Raises StoreError; when the connection was lost, the append may have happened.
        """
        rows = Rows.of(events)
        where, stated, _ = ("FALSE", [], True) if condition is None else _where(check_query(condition.query))
        after = 0 if condition is None else condition.after
        statement = _APPEND.format(conflict=f"SELECT FROM events WHERE position > %b AND {where}")
        count = Int8(len(events))
        parameters = [Int8(after), *stated, count, count, *rows.parameters(self.schema)]

        def work(connection: Connection) -> list[tuple[Any, ...]]:
            # Two statements, since the second must see what was committed while the first waited for the lock.
            with connection.pipeline(), connection.transaction():
                connection.execute(_LOCK)
                cursor = connection.execute(statement.encode(), parameters, binary=True)
            return cursor.fetchall()

        found = self._connections.once(work)
        if not found:
            assert condition is not None
            return Conflict(condition.query, condition.after)
        return cast("int", found[0][0]) + len(events)

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order."""
        check_query(query)
        return self._connections.repeat(lambda connection: read(connection, query, after, limit))

    def head(self) -> int:
        """Returns the last position."""
        return self._connections.repeat(head)

    def close(self) -> None:
        """Closes its connections."""
        self._connections.close()


def _rows(connection: Connection, statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(statement.encode(), parameters, binary=True).fetchall()


def _where(query: Query) -> tuple[str, list[Any], bool]:
    """Returns the condition in SQL, its parameters, and whether the tag index can answer it."""
    if not query or any(not item.tags and not item.types for item in query):
        return "TRUE", [], False
    items: list[str] = []
    parameters: list[Any] = []
    for item in query:
        parts = ["tags @> %b"] * bool(item.tags) + ["type = ANY(%b)"] * bool(item.types)
        items.append(f"({' AND '.join(parts)})")
        parameters += [list(texts) for texts in (item.tags, item.types) if texts]
    return f"({' OR '.join(items)})", parameters, all(item.tags for item in query)


def _literal(tags: tuple[str, ...]) -> str:
    """Returns a Postgres array literal: a text per event costs less than an array of arrays."""
    text = '","'.join(tags)
    if not text.isascii() or len(text) > TAG_BYTES_MAX:
        _check_tags(tags)
    if text.count('"') > 2 * max(0, len(tags) - 1) or "\\" in text:
        text = '","'.join(tag.replace("\\", "\\\\").replace('"', '\\"') for tag in tags)
    return f'{{"{text}"}}' if tags else "{}"


def _check_tags(tags: tuple[str, ...]) -> None:
    for tag in tags:
        if len(tag.encode(errors="replace")) > TAG_BYTES_MAX:
            raise StoreError(f"a tag of {len(tag)} characters exceeds {TAG_BYTES_MAX} bytes", hint="tag with an id")


def _check_text(texts: list[str]) -> int:
    """Returns the bytes of texts. Raises StoreError for those the database cannot hold."""
    text = "".join(texts)
    if "\0" in text:
        raise StoreError("a type or tag holds a zero character, which Postgres cannot store")
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise StoreError(f"a type or tag is no valid text: {error}") from error
