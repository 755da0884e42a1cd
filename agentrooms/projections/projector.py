"""The projector: reads the log and keeps the tables of a read schema up with it, each event exactly once.

Rows and cursor are one transaction. Whoever dies before it leaves nothing, whoever dies after it has
moved the cursor; two at once do no harm, since only one of them can move the cursor from where it was.
"""

from __future__ import annotations

import logging
from threading import Event as Flag

import psycopg
from psycopg import sql

from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import connect
from agentrooms.events.store import EventStore, Positioned, StoreError
from agentrooms.projections.model import Model, Unprojectable
from agentrooms.projections.redis_stats import RedisStats
from agentrooms.projections.writing import Place, commit, live_swarms, note_failure, open_rooms, place
from agentrooms.services.migrations import MigrationRefused, load, migrate

SCHEMA = "read"
BATCH_EVENTS = 2_000  # in one transaction
POLL_S = 1.0  # how long news may wait when no notification comes
RETRY_S = 1.0  # how long to wait for a log or database that does not answer

MIGRATIONS = load("agentrooms.projections")
_LOG = logging.getLogger(__name__)


class ProjectionStopped(AgentroomsError):
    """The projection stands before an event that it cannot turn into rows."""


class ProjectionAhead(AgentroomsError):
    """The tables hold events that the log does not have."""


class Projector:
    """Keeps the tables of one schema up with a log. Plain: one thread, any number of processes.

    `channel` is the Postgres channel on which the log's writer notifies; without it new events are found by
    polling. `stats` shows in Redis what commits have changed.
    """

    def __init__(
        self,
        store: EventStore,
        dsn: str,
        schema: str = SCHEMA,
        *,
        channel: str | None = None,
        stats: RedisStats | None = None,
        batch_events: int = BATCH_EVENTS,
    ) -> None:
        self._store = store
        self._dsn = dsn
        self._schema = schema
        self._channel = channel
        self._stats = stats
        self._batch_events = batch_events
        self._connection: psycopg.Connection | None = None
        self._model: Model | None = None
        self._mine = Place(0, 0)

    @property
    def position(self) -> int:
        """The last event known to be in the tables; 0 before the first `step`."""
        return self._mine.position

    def step(self) -> int:
        """Projects the next batch; returns how many events that was (0: none are left, or another was faster).

        Raises:
            ProjectionStopped: an event cannot be projected; those before it are, and the cursor row names it.
            ProjectionAhead: the log is shorter than the tables say.
            StoreError, psycopg.OperationalError: log or database do not answer; `step` may be called again.
        """
        connection = self._connected()
        model = self._loaded(connection)
        found = self._store.read(after=model.position, limit=self._batch_events)
        if not found:
            self._check_ahead()
            return 0
        return self._project(connection, model, found)

    def run(self, stop: Flag) -> None:
        """Projects until `stop` is set, at most POLL_S after it. Waits for a log or database that is away.

        Raises ProjectionStopped and ProjectionAhead, which waiting does not mend.
        """
        while not stop.is_set():
            try:
                if not self.step():
                    self._wait(stop)
                if self._stats is not None:
                    self._stats.tick()
            except (psycopg.OperationalError, psycopg.InterfaceError, StoreError) as error:
                _LOG.warning("projection %s waits: %s", self._schema, error)
                self.close()
                stop.wait(RETRY_S)
        self.close()

    def close(self) -> None:
        """Lets go of the connection; the next `step` takes a new one."""
        self._model = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._model = None
            self._migrate()
            self._connection = connect(self._dsn, self._schema)
            if self._channel is not None:
                self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        return self._connection

    def _migrate(self) -> None:
        try:
            migrate(self._dsn, self._schema, MIGRATIONS)
        except MigrationRefused as error:
            if isinstance(error.__cause__, psycopg.OperationalError):
                raise error.__cause__ from None  # nothing is wrong with the schema: the server is away
            raise

    def _loaded(self, connection: psycopg.Connection) -> Model:
        """Returns the model at the cursor; reads what is open there when this projector does not know."""
        if self._model is None:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                self._mine = place(connection)
                rooms, swarms = open_rooms(connection), live_swarms(connection)
            self._check_ahead()
            self._model = Model(self._store, self._mine.position, rooms, swarms)
            if self._stats is not None:
                self._stats.rebuild_from(self._model.rooms.values())
        return self._model

    def _project(self, connection: psycopg.Connection, model: Model, found: list[Positioned]) -> int:
        self._model = None  # until this batch is in the tables, the model is ahead of them
        try:
            changes, rooms = model.apply(found)
        except Unprojectable as error:
            return self._stand_before(connection, found, error)
        try:
            won = commit(connection, changes, self._mine, model.position)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise self._stopped(connection, found[0].position, f"events up to {model.position}: {error}") from error
        if not won:
            return 0
        self._mine = Place(model.position, self._mine.epoch)
        self._model = model
        if self._stats is not None:
            self._stats.changed(rooms)
        return len(found)

    def _stand_before(self, connection: psycopg.Connection, found: list[Positioned], error: Unprojectable) -> int:
        """Projects what comes before the event in question, then says what is wrong with it."""
        sound = [event for event in found if event.position < error.position]
        if sound:
            return self._project(connection, self._loaded(connection), sound)
        raise self._stopped(connection, error.position, str(error)) from error

    def _stopped(self, connection: psycopg.Connection, position: int, why: str) -> ProjectionStopped:
        note_failure(connection, self._mine, position, why)
        return ProjectionStopped(
            f"projection {self._schema} stands at {self._mine.position}: {why}",
            hint="see `agentrooms status`; when log or program are mended, it goes on from there",
        )

    def _check_ahead(self) -> None:
        head = self._store.head()
        if self._mine.position > head:
            raise ProjectionAhead(
                f"read model {self._schema} is at {self._mine.position}, the log ends at {head}",
                hint="this is another log than the one it was made from: run `agentrooms projections rebuild`",
            )

    def _wait(self, stop: Flag) -> None:
        """Waits for a notification, at most POLL_S."""
        if self._channel is None:
            stop.wait(POLL_S)
            return
        for _ in self._connected().notifies(timeout=POLL_S, stop_after=1):
            pass
