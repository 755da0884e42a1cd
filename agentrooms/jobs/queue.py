"""The queue: jobs in Postgres, each done by one worker at a time, again after a failure, and never lost.

A worker takes a job with a lease that ends after the queue's time limit. Whoever dies meanwhile leaves it to the next
one; whoever comes too late finds that the lease is another's, and changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from psycopg import sql

from agentrooms.accounts.schema import now_ms
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.postgres import Connection, Connections
from agentrooms.events.waking import Listener
from agentrooms.jobs.catalogue import QUEUES, RUNS, Queue, queue_of
from agentrooms.jobs.schema import SCHEMA, wake_channel

ID_CHARACTERS_MAX = 200
PAYLOAD_BYTES_MAX = 16_384
TEXT_CHARACTERS_MAX = 1_000  # of an error
LEASE_EXTRA_MS = 5_000  # beyond the time limit, so that a worker can still say how it ended
BACKOFF_MAX_S = 600
JITTER = 0.5  # a wait is up to so much longer, so that what failed together is not repeated together
EXPIRED_AT_ONCE = 100  # jobs whose lease is over, looked after by one `take`
PRUNE_EVERY = 50  # ends of jobs
PAGE_MAX = 500
_LOCK_KEY = 0x4A4F4253  # with the queue's name: one puts at a time, so the bound holds


class State(StrEnum):
    """Where a job stands. `dead`: all its attempts failed, and somebody has to look."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


class NewJob(msgspec.Struct, frozen=True):
    """A job to be put. The same id again is the same job. `payload` is plain JSON and holds ids alone."""

    id: str
    kind: str
    payload: dict[str, Any] = {}
    user: str | None = None
    run_at_ms: int = 0
    """Not before this; 0 is now."""


class Job(msgspec.Struct, frozen=True):
    """A job as it stands. `attempts` were begun; `lease` says whose it is; `error` is that of the last attempt."""

    number: int
    id: str
    queue: str
    kind: str
    payload: dict[str, Any]
    user: str | None
    state: State
    attempts: int
    lease: int
    made_at_ms: int
    run_at_ms: int
    ended_at_ms: int | None
    progress: dict[str, Any]
    result: dict[str, Any]
    error: str

    @property
    def last_attempt(self) -> bool:
        """Whether a failure now is the end."""
        return self.attempts >= QUEUES[self.queue].attempts


class QueueFull(AgentroomsError):
    """Too many jobs of a queue wait already."""


class NoSuchJob(AgentroomsError):
    """There is no job of this id, or no longer."""


_COLUMNS = (
    "number, id, queue, kind, payload, user_id, state, attempts, lease, made_at_ms, run_at_ms, ended_at_ms,"
    " progress, result, error"
)
_TAKE = f"""
    UPDATE jobs SET state = 'running', attempts = attempts + 1, lease = lease + 1, progress = '{{}}',
        lease_until_ms = %(now)s + (%(limits)s::jsonb->>queue)::bigint
    WHERE number = (
        SELECT number FROM jobs WHERE state = 'waiting' AND queue = ANY(%(queues)s) AND run_at_ms <= %(now)s
        ORDER BY priority, run_at_ms, number FOR UPDATE SKIP LOCKED LIMIT 1)
    RETURNING {_COLUMNS}"""  # noqa: S608 -- fixed texts
_LIMITS = msgspec.json.encode(
    {name: queue.time_limit_s * 1_000 + LEASE_EXTRA_MS for name, queue in QUEUES.items()}
).decode()
_JSON = msgspec.json.Encoder(order="sorted")


class JobQueue:
    """Jobs of one schema. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(
        self,
        dsn: str,
        schema: str = SCHEMA,
        clock_ms: Callable[[], int] = now_ms,
        draw: Callable[[], float] = random.random,
        patience_s: float | None = None,
    ) -> None:
        """`draw` gives numbers from 0 to 1, by which waits differ; `patience_s` is that of Connections."""
        self._dsn, self._schema = dsn, schema
        self._connections = Connections(dsn, schema, patience_s)
        self._clock_ms, self._draw = clock_ms, draw
        self._listener = Listener(dsn, schema, wake_channel(schema))

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()
        self._listener.close()

    def put(self, new: NewJob) -> Job:
        """Puts a job in; the same again returns the job as it stands.

        Raises:
            InvalidInput: its kind, id or payload cannot be used, or another job has its id.
            QueueFull: its queue has as many open jobs as it may.
        """

        def work(connection: Connection) -> Job:
            with connection.transaction():
                return put(connection, new, self._clock_ms(), self._schema)

        return self._connections.repeat(work)

    def take(self, queues: Sequence[str]) -> Job | None:
        """Takes the most urgent job that is due and starts its lease; None when there is none."""
        now = self._clock_ms()

        def work(connection: Connection) -> Job | None:
            with connection.transaction():
                self._end_leases(connection, now)
                values = {"now": now, "queues": list(queues), "limits": _LIMITS}
                row = connection.execute(_TAKE.encode(), values).fetchone()
                return None if row is None else _job(row)

        return self._connections.repeat(work)

    def done(self, job: Job, result: Mapping[str, Any]) -> bool:
        """Ends a job well; False, and nothing, when it is no longer the worker's."""

        def work(connection: Connection) -> bool:
            with connection.transaction():
                return self._end(connection, job, State.DONE, "", _JSON.encode(result).decode())

        return self._connections.repeat(work)

    def failed(self, job: Job, error: str, *, for_good: bool = False) -> bool:
        """Notes a failure: the job is tried again later, or dead after its last attempt, or now when it is `for_good`.

        False, and nothing, when it is no longer the worker's.
        """

        def work(connection: Connection) -> bool:
            with connection.transaction():
                return self._fail(connection, job, error, for_good=for_good)

        return self._connections.repeat(work)

    def give_back(self, job: Job) -> bool:
        """Lets another do the job now, as if it had never been begun: this worker ends. False when it is not ours."""

        def work(connection: Connection) -> bool:
            with connection.transaction():
                changed = _change(
                    connection, job, "state = 'waiting', attempts = attempts - 1, lease_until_ms = NULL", []
                )
                _wake(connection, self._schema)
                return changed

        return self._connections.repeat(work)

    def progress(self, job: Job, progress: Mapping[str, Any]) -> bool:
        """Shows how far a job is; False when it is no longer the worker's."""
        text = _JSON.encode(progress).decode()
        return self._connections.repeat(lambda connection: _change(connection, job, "progress = %s", [text]))

    def get(self, id: str) -> Job:
        """Returns a job as it stands. Raises NoSuchJob."""
        found = self._connections.repeat(lambda connection: _one(connection, id))
        if found is None:
            raise NoSuchJob(f"there is no job {id[:ID_CHARACTERS_MAX]!a}", hint="ended ones are forgotten in time")
        return found

    def jobs(
        self,
        *,
        queue: str | None = None,
        state: State | None = None,
        user: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Returns jobs, the newest first, before the `number` of one. Raises InvalidInput for a wrong `limit`."""
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidInput(f"a page has 1 to {PAGE_MAX} jobs, was {limit}")
        given = {"queue": queue, "state": state, "user_id": user}
        wheres: list[sql.Composable] = [
            sql.SQL("{} = {}").format(sql.Identifier(n), sql.Placeholder(n)) for n, v in given.items() if v
        ]
        if before is not None:
            wheres.append(sql.SQL("number < %(before)s"))
        query = sql.SQL("SELECT {} FROM jobs WHERE {} ORDER BY number DESC LIMIT %(limit)s").format(
            sql.SQL(_COLUMNS), sql.SQL(" AND ").join([*wheres, sql.SQL("true")])
        )
        values = {**given, "before": before, "limit": limit}
        return self._connections.repeat(lambda connection: [_job(row) for row in connection.execute(query, values)])

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns how many jobs each queue has in each state."""
        rows = self._connections.repeat(
            lambda connection: connection.execute("SELECT queue, state, count(*) FROM jobs GROUP BY 1, 2").fetchall()
        )
        found: dict[str, dict[str, int]] = {name: dict.fromkeys(State, 0) for name in QUEUES}
        for queue, state, count in msgspec.convert(rows, list[tuple[str, State, int]]):
            found.setdefault(queue, {})[state] = count
        return found

    def retry(self, id: str) -> Job:
        """Lets a dead job begin anew, with all its attempts. Raises NoSuchJob, InvalidInput for one that is not dead."""
        if self._revive(id, None):
            return self.get(id)
        found = self.get(id)
        raise InvalidInput(f"job {found.id} is {found.state}, not dead", hint="only dead jobs are begun anew")

    def retry_dead(self, queue: str | None = None) -> int:
        """Lets all dead jobs, or those of one queue, begin anew; returns how many."""
        return self._revive(None, queue)

    def forget(self, user: str) -> int:
        """Takes a user out: all jobs go, runs stay as nobody's; returns how many jobs that concerned."""

        def work(connection: Connection) -> int:
            with connection.transaction():
                kept = connection.execute(
                    "UPDATE jobs SET user_id = NULL WHERE user_id = %s AND queue = %s", [user, RUNS]
                )
                gone = connection.execute("DELETE FROM jobs WHERE user_id = %s", [user])
                return kept.rowcount + gone.rowcount

        return self._connections.repeat(work)

    def await_new(self, timeout_s: float) -> bool:
        """Waits until a job is put, for `timeout_s` at most; returns whether one was. For one thread."""
        return self._listener.wait(timeout_s)

    def _revive(self, id: str | None, queue: str | None) -> int:
        query = (
            "UPDATE jobs SET state = 'waiting', attempts = 0, run_at_ms = %s, ended_at_ms = NULL"
            " WHERE state = 'dead' AND id = coalesce(%s, id) AND queue = coalesce(%s, queue)"
        )

        def work(connection: Connection) -> int:
            with connection.transaction():
                revived = connection.execute(query, [self._clock_ms(), id, queue]).rowcount
                _wake(connection, self._schema)
                return revived

        return self._connections.repeat(work)

    def _end_leases(self, connection: Connection, now: int) -> None:
        query = (
            f"SELECT {_COLUMNS} FROM jobs WHERE state = 'running' AND lease_until_ms <= %s"  # noqa: S608 -- fixed
            " ORDER BY lease_until_ms FOR UPDATE SKIP LOCKED LIMIT %s"
        )
        for row in connection.execute(query.encode(), [now, EXPIRED_AT_ONCE]).fetchall():
            job = _job(row)
            limit_s = QUEUES[job.queue].time_limit_s
            self._fail(connection, job, f"its worker was gone, or its time of {limit_s} s was over")

    def _fail(self, connection: Connection, job: Job, error: str, *, for_good: bool = False) -> bool:
        error = error[:TEXT_CHARACTERS_MAX].replace("\0", "\ufffd")
        if for_good or job.last_attempt:
            return self._end(connection, job, State.DEAD, error)
        wait_s = backoff_s(QUEUES[job.queue], job.attempts, self._draw())
        run_at_ms = self._clock_ms() + int(1_000 * wait_s)
        changes = "state = 'waiting', run_at_ms = %s, error = %s, lease_until_ms = NULL"
        return _change(connection, job, changes, [run_at_ms, error])

    def _end(self, connection: Connection, job: Job, state: State, error: str, result: str = "{}") -> bool:
        changes = "state = %s, error = %s, result = %s, ended_at_ms = %s, lease_until_ms = NULL"
        ended = _change(connection, job, changes, [state, error, result, self._clock_ms()])
        if ended and job.number % PRUNE_EVERY == 0:
            _prune(connection, QUEUES[job.queue])
        return ended


def put(connection: Connection, new: NewJob, now: int, schema: str = SCHEMA) -> Job:
    """Puts a job in, as a part of the connection's transaction. Raises InvalidInput, QueueFull; see `JobQueue.put`."""
    queue = queue_of(new.kind)
    payload = _JSON.encode(new.payload).decode()
    _check(new, payload)
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_KEY, f"{schema}/{queue.name}"])
    known = _one(connection, new.id)
    if known is None:
        _require_room(connection, queue)
        connection.execute(
            "INSERT INTO jobs (id, queue, kind, payload, user_id, priority, made_at_ms, run_at_ms)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [new.id, queue.name, new.kind, payload, new.user, queue.priority, now, max(now, new.run_at_ms)],
        )
        _wake(connection, schema)
        known = _one(connection, new.id)
        assert known is not None
    if (known.kind, known.payload, known.user) != (new.kind, msgspec.json.decode(payload), new.user):
        raise InvalidInput(f"another job has the id {new.id}", hint="give this one an id of its own")
    return known


def backoff_s(queue: Queue, attempts: int, drawn: float) -> float:
    """Returns how long a job waits after so many attempts; `drawn` is from 0 to 1."""
    return float(min(BACKOFF_MAX_S, queue.backoff_s * 2 ** (attempts - 1)) * (1 + JITTER * drawn))


def _check(new: NewJob, payload: str) -> None:
    if not (0 < len(new.id) <= ID_CHARACTERS_MAX and new.id.isascii() and new.id.isprintable()):
        raise InvalidInput(f"a job's id has 1 to {ID_CHARACTERS_MAX} plain characters")
    if len(payload.encode()) > PAYLOAD_BYTES_MAX or "\\u0000" in payload:
        raise InvalidInput(f"a job's payload has at most {PAYLOAD_BYTES_MAX} bytes and no zero character")


def _require_room(connection: Connection, queue: Queue) -> None:
    full = connection.execute(
        "SELECT count(*) >= %s FROM jobs WHERE queue = %s AND state IN ('waiting', 'running')",
        [queue.open_max, queue.name],
    ).fetchone()
    if full == (True,):
        raise QueueFull(
            f"{queue.open_max} jobs of the queue {queue.name} are open",
            hint="wait until some are done; `agentrooms jobs list` shows them",
        )


def _prune(connection: Connection, queue: Queue) -> None:
    """Forgets ended jobs beyond the youngest `kept_max` of the queue."""
    connection.execute(
        "DELETE FROM jobs WHERE queue = %(queue)s AND state IN ('done', 'dead') AND number <= ("
        "  SELECT number FROM jobs WHERE queue = %(queue)s AND state IN ('done', 'dead')"
        "  ORDER BY number DESC OFFSET %(kept)s LIMIT 1)",
        {"queue": queue.name, "kept": queue.kept_max},
    )


def _wake(connection: Connection, schema: str) -> None:
    connection.execute("SELECT pg_notify(%s, '')", [wake_channel(schema)])


def _change(connection: Connection, job: Job, changes: str, values: Sequence[object]) -> bool:
    """Changes a job that is still this worker's; False when it is not."""
    query = f"UPDATE jobs SET {changes} WHERE number = %s AND lease = %s AND state = 'running'"  # noqa: S608 -- fixed
    return connection.execute(query.encode(), [*values, job.number, job.lease]).rowcount == 1


def _one(connection: Connection, id: str) -> Job | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = %s".encode(), [id]).fetchone()  # noqa: S608
    return None if row is None else _job(row)


def _job(row: tuple[object, ...]) -> Job:
    fields: dict[str, Any] = dict(zip(Job.__struct_fields__, row, strict=True))
    for name in ("payload", "progress", "result"):
        fields[name] = msgspec.json.decode(fields[name])
    return msgspec.convert(fields, Job)
