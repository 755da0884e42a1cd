"""The event store over any recorder of the `eventsourcing` library; the one module that imports it.

With the library's own in-memory recorder it is the reference that the fast adapters are held
against; with `PostgresRecorder` it is durable, and open to any process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from eventsourcing.dcb.api import (
    DCBAppendCondition,
    DCBEvent,
    DCBQuery,
    DCBQueryItem,
    DCBReadResponse,
    DCBRecorder,
    DCBSequencedEvent,
)
from eventsourcing.dcb.persistence import DCBListenNotifySubscription
from eventsourcing.dcb.popo import InMemoryDCBRecorder, SimpleDCBReadResponse
from eventsourcing.dcb.postgres_tt import PostgresDCBRecorderTT
from eventsourcing.persistence import IntegrityError, ProgrammingError
from eventsourcing.postgres import PostgresDatastore
from psycopg import sql

from agentrooms.events.postgres import Connection, channel, connect
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import (
    EVERYTHING,
    Condition,
    Conflict,
    Positioned,
    Query,
    QueryItem,
    StoredEvent,
    StoreError,
)

POSITION_MAX = 2**63 - 1
POLL_S = 1.0  # a subscription looks this often even when no notification comes


class DcbEventStore:
    """Translates our port to the library's interface and back."""

    def __init__(self, recorder: DCBRecorder | None = None) -> None:
        self._recorder = recorder if recorder is not None else InMemoryDCBRecorder()

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends all events, or returns the conflict and appends none."""
        if not events:
            raise StoreError("an append holds at least one event", hint="do not append when nothing happened")
        if condition.after > self.head():
            raise StoreError(f"position {condition.after} is not in this log of {self.head()} events")
        stated = DCBAppendCondition(fail_if_events_match=_query(condition.query), after=condition.after)
        try:
            return self._recorder.append([DCBEvent(e.type, e.data, list(e.tags)) for e in events], stated)
        except IntegrityError:
            return Conflict(condition.query, condition.after)

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order."""
        found = self._recorder.read(_query(query), after=after, limit=limit)
        return [Positioned(f.position, StoredEvent(f.event.type, f.event.data, tuple(f.event.tags))) for f in found]

    def head(self) -> int:
        """Returns the last position."""
        # Without a limit the library tells the head of the log; nothing is read, as nothing is after this position.
        return self._recorder.read(after=POSITION_MAX).head or 0


class PostgresRecorder(DCBRecorder):
    """The library's interface over the tables of our log."""

    def __init__(self, log: PostgresLog) -> None:
        self.log = log

    def read(
        self, query: DCBQuery | None = None, *, after: int | None = None, limit: int | None = None
    ) -> DCBReadResponse:
        """Returns matching events, with the last position of the log, or of what was read when there is a limit."""
        found = self.log.read(_our_query(query), after=after or 0, limit=limit)
        last = found[-1].position if found else 0
        position = max(last, self.log.head()) if limit is None else last
        events = (DCBSequencedEvent(DCBEvent(e.type, e.data, list(e.tags)), p) for p, e in map(_parts, found))
        return SimpleDCBReadResponse(events, position or None)

    def append(self, events: Sequence[DCBEvent], condition: DCBAppendCondition | None = None) -> int:
        """Appends events under the lock of the log's head, also when there is no condition.

        Raises IntegrityError for a conflict, ProgrammingError for no events, StoreError.
        """
        if not events:
            raise ProgrammingError("an append holds at least one event")
        stored = [StoredEvent(event.type, event.data, tuple(event.tags)) for event in events]
        outcome = self.log.append(stored, None if condition is None else _our_condition(condition))
        if isinstance(outcome, Conflict):
            raise IntegrityError(condition)
        return outcome

    def subscribe(self, query: DCBQuery | None = None, *, after: int | None = None) -> PostgresSubscription:
        """Returns an iterator over matching events that waits for more."""
        return PostgresSubscription(self, query, after)


class PostgresSubscription(DCBListenNotifySubscription[PostgresRecorder]):
    """Waits for the log's notifications, and looks every POLL_S for those that were lost."""

    def __init__(self, recorder: PostgresRecorder, query: DCBQuery | None, after: int | None) -> None:
        log = recorder.log
        self._listening: Connection = connect(log.dsn, log.schema)
        self._listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel(log.schema))))
        super().__init__(recorder=recorder, query=query, after=after)
        self._listener = threading.Thread(target=self._listen, name="log listener", daemon=True)
        self._listener.start()

    def __exit__(self, *args: object, **kwargs: object) -> None:
        super().__exit__(*args, **kwargs)
        self._listener.join()

    def _listen(self) -> None:
        try:
            with self._listening as connection:
                while not self._has_been_stopped:
                    list(connection.notifies(timeout=POLL_S, stop_after=1))
                    self._has_been_notified.set()
        except BaseException as error:  # noqa: BLE001 -- raised in the thread that iterates, as the library does
            self._thread_error = error
            self.stop()


def _parts(positioned: Positioned) -> tuple[int, StoredEvent]:
    return positioned.position, positioned.event


def _query(query: Query) -> DCBQuery:
    return DCBQuery(items=[DCBQueryItem(types=list(i.types), tags=list(i.tags)) for i in query])


def _our_query(query: DCBQuery | None) -> Query:
    return () if query is None else tuple(QueryItem(tuple(i.tags), tuple(i.types)) for i in query.items)


def _our_condition(condition: DCBAppendCondition) -> Condition:
    return Condition(_our_query(condition.fail_if_events_match), condition.after or 0)


@contextmanager
def library_recorder(dsn: str, schema: str) -> Iterator[DCBRecorder]:
    """Gives the library's own Postgres recorder in a new schema: what ours is measured against."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    # Its functions name tables without their schema, so its connections must look there; it has no option for that.
    os.environ["PGOPTIONS"] = f"-c search_path={schema}"
    datastore = PostgresDatastore(
        dbname=str(parts.get("dbname", "")),
        host=str(parts.get("host", "")),
        port=str(parts.get("port", "5432")),
        user=str(parts.get("user", "")),
        password=str(parts.get("password", "")),
        schema=schema,
    )
    try:
        recorder = PostgresDCBRecorderTT(datastore, events_table_name="bench_events")
        recorder.create_table()
        yield recorder
    finally:
        datastore.close()
        del os.environ["PGOPTIONS"]
