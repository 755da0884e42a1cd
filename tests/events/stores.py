"""The adapters of the `EventStore` port. A new one is one line here, and the whole suite holds it to the contract.

Those in Postgres need the server of the fixture `stores` (see `conftest.py` beside this file). Each makes one
store at a time: the next one empties the schema of the one before.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import psycopg
from psycopg import sql

from agentrooms.events.dcb import DcbEventStore, PostgresRecorder
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import EventStore

_RUN = f"{os.getpid()}_{secrets.token_hex(3)}"
_EMPTY = "DELETE FROM events; UPDATE log_head SET position = 0; DELETE FROM vault; DELETE FROM memory"


class _Closes(Protocol):
    def close(self) -> None: ...


class Schemas:
    """One schema for each name, emptied whenever it is asked for again."""

    def __init__(self) -> None:
        self.dsn = ""
        self._made: dict[str, psycopg.Connection] = {}
        self._open: dict[str, _Closes] = {}

    def fresh(self, name: str) -> tuple[str, str]:
        """Returns the server and a schema with an empty log; closes who used it before."""
        assert self.dsn, "ask for the fixture `stores`"
        schema = f"stores_{name}_{_RUN}"
        if name in self._open:
            self._open.pop(name).close()
        if name not in self._made:
            migrate_log(self.dsn, schema)
            self._made[name] = psycopg.connect(self.dsn, autocommit=True)
            self._made[name].execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
        self._made[name].execute(_EMPTY)
        return self.dsn, schema

    def keep(self, name: str, user: _Closes) -> None:
        """Remembers whom to close."""
        self._open[name] = user

    def close(self) -> None:
        """Closes all that is open and drops the schemas."""
        for user in self._open.values():
            user.close()
        for name, connection in self._made.items():
            with suppress(psycopg.OperationalError), connection:
                connection.execute("SET client_min_messages = warning")
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(f"stores_{name}_{_RUN}")))
        self._open, self._made, self.dsn = {}, {}, ""


SCHEMAS = Schemas()


def in_postgres() -> EventStore:
    log = PostgresLog(*SCHEMAS.fresh("dcb"))
    SCHEMAS.keep("dcb", log)
    return DcbEventStore(PostgresRecorder(log))


def log_writer() -> EventStore:
    writer = LogWriter(*SCHEMAS.fresh("writer"))
    SCHEMAS.keep("writer", writer)
    return writer


def forgetful_log_writer() -> EventStore:
    """One that remembers so little that most conditions are looked up in the database."""
    writer = LogWriter(*SCHEMAS.fresh("forgetful"), tagged_events_max=1)
    SCHEMAS.keep("forgetful", writer)
    return writer


ADAPTERS: dict[str, Callable[[], EventStore]] = {
    "memory": MemoryEventStore,
    "dcb": DcbEventStore,
    "dcb in Postgres": in_postgres,
    "log writer": log_writer,
    "forgetful log writer": forgetful_log_writer,
}
