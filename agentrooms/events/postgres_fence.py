"""Appending as the log's only writer: one statement a group, fenced by where this writer left the head.

A writer takes over by raising the generation in `log_head`. Each of its appends says "the head is where I left
it and the generation is mine"; once another writer took over, or appended, nothing of this one is written.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from typing import cast

import psycopg
from psycopg.types.numeric import Int8

from agentrooms.events import postgres_log
from agentrooms.events.postgres import Connection, connect_patiently, failure, is_lost
from agentrooms.events.postgres_log import INSERT, Rows
from agentrooms.events.store import Query, StoreError
from agentrooms.services import failpoints

RECOVERIES_MAX = 5  # of one group; a connection that is lost each time is no accident

_APPEND = (
    """WITH head AS (
        UPDATE log_head SET position = %b WHERE position = %b AND generation = %b
        RETURNING %b::bigint AS was, position AS now_at
    ),"""  # noqa: S608 -- fixed texts
    + INSERT
)
_TAKE_OVER = "UPDATE log_head SET generation = generation + 1, writer = %b RETURNING position, generation"
_END = "SELECT coalesce(max(position), 0) FROM events"
_REGAIN = "UPDATE log_head SET generation = generation + 1 WHERE writer = %b RETURNING position, generation"
_HEAD = "SELECT position, generation, writer FROM log_head"
_SAME = """
    SELECT count(*) FROM unnest(%b::text[], %b::bytea[], %b::text[]) WITH ORDINALITY AS new (type, data, tags, n)
    JOIN events ON position = %b + n AND events.type = new.type AND events.data = new.data
    AND events.tags = new.tags::text[]"""


class Fenced(StoreError):
    """Another log writer has taken over; this one writes nothing any more."""


class FencedLog:
    """The one connection through which a log writer appends. Used by one thread at a time.

    `position` is the last position it knows to be committed, `generation` its own.
    """

    def __init__(self, dsn: str, schema: str, stop: threading.Event) -> None:
        """Takes over from whoever wrote before. Raises StoreError."""
        self._dsn, self.schema, self._stop = dsn, schema, stop
        self._name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"
        self.recoveries = 0
        self._connection: Connection | None = connect_patiently(dsn, schema, stop)
        try:
            with self._connection.transaction():
                row = self._connection.execute(_TAKE_OVER, [self._name]).fetchone()
                end = cast("tuple[int]", self._connection.execute(_END).fetchone())[0]
        except psycopg.Error as error:
            self.close()
            raise failure("refuses a log writer", error) from error
        self.position, self.generation = cast("tuple[int, int]", row)
        if end != self.position:
            self.close()
            raise StoreError(
                f"the log ends at {end} but its head says {self.position}", hint="restore the schema as a whole"
            )

    def ready(self) -> None:
        """Connects again if the connection was lost; `position` then holds what was found.

        Raises StoreError or Fenced.
        """
        if self._connection is None:
            self.position = self._regain()

    def append(self, rows: Rows) -> None:
        """Appends rows after `position`, which it moves.

        Raises:
            StoreError: the database refused; nothing was appended. Or it cannot be reached, and then it may have been.
            Fenced: another writer took over; nothing was appended.
        """
        for _attempt in range(RECOVERIES_MAX):
            try:
                failpoints.hit("log.before_commit")
                written = self._insert(rows)
                failpoints.hit("log.after_commit")
            except (psycopg.Error, failpoints.FailpointReached) as error:
                if self._has_answered(error):
                    raise failure("refuses an append", error) from error
                written = self._was_written(rows)
            else:
                if not written:
                    raise self._fenced()
            if written:
                self.position += len(rows.types)
                return
        self.close()
        raise StoreError(
            f"the connection to the log was lost {RECOVERIES_MAX} times during one append",
            hint="check Postgres and the network; the append may have happened",
        )

    def matches(self, query: Query, after: int) -> bool:
        """Says whether a matching event stands after the position. Raises StoreError or Fenced."""
        for _attempt in range(RECOVERIES_MAX):
            self.ready()
            assert self._connection is not None
            try:
                return postgres_log.matches(self._connection, query, after)
            except psycopg.Error as error:
                if self._has_answered(error):
                    raise failure("refuses a query", error) from error
                self.close()
        raise StoreError(f"the connection to the log was lost {RECOVERIES_MAX} times during one query")

    def check(self) -> None:
        """Raises Fenced when another writer has taken over or appended."""
        self.ready()
        assert self._connection is not None
        try:
            row = self._connection.execute(_HEAD).fetchone()
        except psycopg.Error as error:
            self.close()
            raise failure("cannot be asked for its head", error) from error
        if row is None or row[:2] != (self.position, self.generation):
            raise self._fenced()

    def close(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _insert(self, rows: Rows) -> bool:
        """Returns False when the fence holds: the head or the generation is another."""
        assert self._connection is not None, "ready() comes first"
        old, new = Int8(self.position), Int8(self.position + len(rows.types))
        parameters = [new, old, Int8(self.generation), old, *rows.parameters(self.schema)]
        return self._connection.execute(_APPEND, parameters, binary=True).fetchone() is not None

    def _has_answered(self, error: Exception) -> bool:
        """Says whether an error is the server's final word; else what it did is not known."""
        assert self._connection is not None
        return isinstance(error, psycopg.Error) and not is_lost(self._connection, error)

    def _was_written(self, rows: Rows) -> bool:
        """Connects again and looks. Raises Fenced when the rows are not there and never will be."""
        try:
            if self._regain() == self.position:
                return False
        except Fenced:
            if not self._stands_there(rows):
                raise
            return True  # another writer took over right after
        if self._stands_there(rows):
            return True
        raise self._fenced()

    def _regain(self) -> int:
        """Connects again as the same writer and returns the head.

        Raising the generation waits for, or shuts out, what the lost connection may still be doing.
        """
        self.close()
        self.recoveries += 1
        for _attempt in range(RECOVERIES_MAX):
            self._connection = connect_patiently(self._dsn, self.schema, self._stop)
            try:
                row = self._connection.execute(_REGAIN, [self._name]).fetchone()
            except psycopg.Error as error:
                answered = self._has_answered(error)
                self.close()  # what is known of the log is in doubt until this has gone well
                if answered:
                    raise failure("refuses its log writer", error) from error
                continue
            if row is None:
                raise self._fenced()
            position, self.generation = cast("tuple[int, int]", row)
            return position
        raise StoreError("the connection to the log is lost again and again", hint="check Postgres and the network")

    def _stands_there(self, rows: Rows) -> bool:
        assert self._connection is not None
        parameters = [rows.types, rows.datas, rows.tags, Int8(self.position)]
        try:
            row = self._connection.execute(_SAME, parameters, binary=True).fetchone()
        except psycopg.Error as error:
            self.close()
            raise failure("cannot say whether an append happened", error) from error
        return row == (len(rows.types),)

    def _fenced(self) -> StoreError:
        """Returns what to raise when the head is not where this writer left it."""
        assert self._connection is not None
        try:
            row = self._connection.execute(_HEAD).fetchone()
        except psycopg.Error as error:
            self.close()
            return failure("cannot be asked for its head", error)
        position, generation, writer = cast("tuple[int, int, str]", row)
        return Fenced(
            f"this log writer is of generation {self.generation} and left the log at {self.position}; now "
            f"generation {generation} ({writer}) writes it, at {position}",
            hint="only one log writer may run; this one must be started anew to take over",
        )
