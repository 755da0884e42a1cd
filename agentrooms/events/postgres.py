"""Connections to the Postgres schema of one log, and what to do when they break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from agentrooms.events.store import StoreError
from agentrooms.services import migrations

CONNECT_TIMEOUT_S = 5
SILENCE_MAX_S = 20  # a TCP connection whose other side is silent for this long counts as broken
RECONNECT_S = 30  # a restart of the server with recovery takes a few seconds
RECONNECT_DELAY_S, RECONNECT_DELAY_MAX_S = 0.05, 1.0  # doubles in between
NAME_MAX = 63  # of a channel, in Postgres
CONNECTIONS_MAX = 4  # a pool's; a fifth reader waits

Connection = psycopg.Connection[tuple[object, ...]]
Result = TypeVar("Result")


def migrate_log(dsn: str, schema: str) -> list[int]:
    """Brings a log's schema to this program's version; returns the migrations applied. Raises MigrationRefused."""
    return migrations.migrate(dsn, schema, migrations.load("agentrooms.events"))


def channel(schema: str) -> str:
    """Returns the NOTIFY channel of a log; each append sends its last position there."""
    return f"agentrooms_{schema}"[:NAME_MAX]  # should two logs share one, some wake in vain


def connect(dsn: str, schema: str, **settings: str) -> Connection:
    """Returns a connection in autocommit mode whose search path is the schema. Raises psycopg.Error."""
    connection = psycopg.connect(
        dsn,
        autocommit=True,
        application_name=schema,  # who is who in pg_stat_activity
        connect_timeout=CONNECT_TIMEOUT_S,
        keepalives_idle=SILENCE_MAX_S // 2,
        keepalives_interval=2,
        keepalives_count=5,
        tcp_user_timeout=SILENCE_MAX_S * 1_000,
    )
    try:
        for name, value in {"search_path": schema, **settings}.items():
            connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Identifier(value)))
    except psycopg.Error:
        connection.close()
        raise
    return connection


def connect_patiently(
    dsn: str, schema: str, stop: threading.Event, patience_s: float | None = None, **settings: str
) -> Connection:
    """Returns a connection, waiting for a server that restarts.

    Raises:
        StoreError: after `patience_s` (RECONNECT_S) the server still cannot be reached, or `stop` was set.
    """
    deadline = time.monotonic() + (RECONNECT_S if patience_s is None else patience_s)
    delay_s = RECONNECT_DELAY_S
    while True:
        try:
            return connect(dsn, schema, **settings)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline or stop.wait(delay_s):
                raise failure("cannot be reached", error) from error
            delay_s = min(2 * delay_s, RECONNECT_DELAY_MAX_S)


def failure(what: str, error: BaseException) -> StoreError:
    """Returns the error of our port for one of the driver: its first line, and what to do."""
    said = str(error).strip().split("\n", 1)[0]
    hint = "check that Postgres runs, that its disk has room, and its log"
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        hint = "the schema holds no log of this version: run the migrations"
    return StoreError(f"the log's database {what}: {said}", hint=hint)


def is_lost(connection: Connection, error: psycopg.Error) -> bool:
    """Says whether an error took the connection with it, so that it is not known what the server did.

    A server that shuts down says so, and its last words may come before the end of the connection is noticed.
    """
    return connection.closed or (error.sqlstate or "").startswith("57P")


class Connections:
    """A few connections to one schema for many threads, opened when needed."""

    def __init__(self, dsn: str, schema: str, patience_s: float | None = None) -> None:
        """`patience_s`: how long to wait for a free connection, and for a server that is away.

        Without it for a free one as long as it takes, and for the server RECONNECT_S.
        """
        self.dsn, self.schema = dsn, schema
        self._patience_s = patience_s
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._stop = threading.Event()

    def repeat(self, work: Callable[[Connection], Result]) -> Result:
        """Does work that may be done twice; when its connection breaks, does it again on a new one.

        Raises:
            StoreError: the database refuses the work or cannot be reached.
        """
        deadline = time.monotonic() + (RECONNECT_S if self._patience_s is None else self._patience_s)
        while True:
            with self._lend() as connection:
                try:
                    return work(connection)
                except psycopg.Error as error:
                    if not is_lost(connection, error):
                        raise failure("refuses", error) from error
                    connection.close()
                    if time.monotonic() > deadline:
                        raise failure("is lost again and again", error) from error

    def once(self, work: Callable[[Connection], Result]) -> Result:
        """Does work that must not be done twice.

        Raises:
            StoreError: the database refuses it, cannot be reached, or was lost, and then it may have been done.
        """
        with self._lend() as connection:
            try:
                return work(connection)
            except psycopg.Error as error:
                if not is_lost(connection, error):
                    raise failure("refuses", error) from error
                connection.close()
                raise failure("was lost, perhaps after it had done its work", error) from error

    def close(self) -> None:
        """Closes what is idle; what is lent is closed when it comes back. No more is lent."""
        self._stop.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _lend(self) -> Iterator[Connection]:
        if not self._free.acquire(timeout=self._patience_s):
            raise StoreError(f"all {CONNECTIONS_MAX} connections to {self.schema} are in use", hint="try again")
        try:
            if self._stop.is_set():
                raise StoreError("this connection to the log is closed")
            connection = self._take() or connect_patiently(
                # Plans depend on how recent a position and how frequent a tag is, so none is kept.
                self.dsn,
                self.schema,
                self._stop,
                self._patience_s,
                plan_cache_mode="force_custom_plan",
            )
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def _take(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            closing = [connection]
            if connection.closed:  # the server went away, and the idle ones with it
                closing, self._idle = self._idle, []
            elif not self._stop.is_set() and connection.info.transaction_status == TransactionStatus.IDLE:
                self._idle.append(connection)
                return
        for one in closing:
            one.close()
