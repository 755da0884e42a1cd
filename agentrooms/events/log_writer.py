"""The log writer: the one thread that appends to a log in Postgres, for many who append at once.

Whatever waits is one group and one commit. Each append of a group has its own verdict, decided in memory
in the order of arrival; later ones see earlier ones. Postgres checks one condition for all: the fence.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

import msgspec

from agentrooms.events import postgres_log
from agentrooms.events.frames import FRAMES_MAX, Frames, Publish
from agentrooms.events.postgres import Connections
from agentrooms.events.postgres_fence import Fenced, FencedLog
from agentrooms.events.postgres_log import APPEND_BYTES_MAX, Rows, check_query
from agentrooms.events.store import EVERYTHING, Condition, Conflict, Positioned, Query, StoredEvent, StoreError
from agentrooms.events.tag_index import TAGGED_EVENTS_MAX, TagIndex
from agentrooms.services import failpoints

APPENDS_MAX = 1_000  # of one group
BYTES_MAX = APPEND_BYTES_MAX  # of one group
QUEUE_MAX = 10_000  # appends that wait
QUEUE_BYTES_MAX = 256 * 1024 * 1024  # of all appends that wait


class LogOverloaded(StoreError):
    """More waits to be appended than the log writer keeps; nothing of the refused append was done."""


class LogStats(msgspec.Struct, frozen=True):
    """What a log writer has done since its start."""

    head: int
    generation: int
    appends: int
    conflicts: int
    groups: int
    recoveries: int  # times the connection to the database was lost
    waiting: int
    frames_dropped: int
    frames_failed: int


class _Append(NamedTuple):
    events: Sequence[StoredEvent]
    rows: Rows
    condition: Condition
    future: Future[int | Conflict]


class LogWriter:
    """Implements `EventStore`. `publish` is told what was appended, in order; it may miss some (see `Frames`)."""

    def __init__(
        self,
        dsn: str,
        schema: str,
        publish: Publish | None = None,
        *,
        tagged_events_max: int = TAGGED_EVENTS_MAX,
        frames_max: int = FRAMES_MAX,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        """Takes over the log. Raises StoreError."""
        self._stop = threading.Event()
        self._log = FencedLog(dsn, schema, self._stop)
        self._readers = Connections(dsn, schema)
        self._index = TagIndex(self._log.position, tagged_events_max)
        self._tagged_events_max, self._queue_max = tagged_events_max, queue_max
        self._frames = None if publish is None else Frames(publish, frames_max)
        self._head = self._log.position
        self._refusal: StoreError | None = None  # why nothing is written any more
        self._closing = False
        self._waiting: deque[_Append] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._appends = self._conflicts = self._groups = 0
        self._thread = threading.Thread(target=self._run, name=f"log writer of {schema}", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends all events, or returns the conflict and appends none. Raises as `submit` and its future do."""
        return self.submit(events, condition).result()

    def submit(self, events: Sequence[StoredEvent], condition: Condition) -> Future[int | Conflict]:
        """Queues an append; the future has the last event's position, or the conflict.

        The future raises StoreError when the append failed, and Fenced when another log writer has taken over.

        Raises:
            LogOverloaded: too much waits already.
            StoreError: the events are not storable, or this writer is fenced or closed.
        """
        check_query(condition.query)
        append = _Append(events, Rows.of(events), condition, Future())
        with self._changed:
            if self._refusal is not None:
                raise _again(self._refusal)
            if self._closing:
                raise StoreError("this log writer is closed")
            if len(self._waiting) >= self._queue_max or self._waiting_bytes + append.rows.size > QUEUE_BYTES_MAX:
                raise LogOverloaded(
                    f"{len(self._waiting)} appends of {self._waiting_bytes} bytes wait for the log",
                    hint="send less at once, and again later",
                )
            self._waiting.append(append)
            self._waiting_bytes += append.rows.size
            self._changed.notify()
        return append.future

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order."""
        check_query(query)
        return self._readers.repeat(lambda connection: postgres_log.read(connection, query, after, limit))

    def head(self) -> int:
        """Returns the last position that this writer knows to be committed. Raises Fenced once it is fenced."""
        if self._refusal is not None:
            raise _again(self._refusal)
        return self._head

    @property
    def failed(self) -> bool:
        """Whether a defect has ended this writer, which only a new one mends."""
        return self._refusal is not None and not isinstance(self._refusal, Fenced)

    def stats(self) -> LogStats:
        """Returns what this writer has done."""
        frames = self._frames
        return LogStats(
            head=self._head,
            generation=self._log.generation,
            appends=self._appends,
            conflicts=self._conflicts,
            groups=self._groups,
            recoveries=self._log.recoveries,
            waiting=len(self._waiting),
            frames_dropped=0 if frames is None else frames.dropped,
            frames_failed=0 if frames is None else frames.failed,
        )

    def close(self) -> None:
        """Writes what waits, refuses more and ends; does not wait for a server that is away."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._stop.set()
        self._thread.join()
        self._log.close()
        self._readers.close()
        if self._frames is not None:
            self._frames.close()

    def _run(self) -> None:
        while group := self._take():
            try:
                self._write([append for append in group if append.future.set_running_or_notify_cancel()])
            except Exception as error:  # noqa: BLE001 -- a defect here must not leave callers waiting for ever
                failure = StoreError(f"the log writer has failed: {error!r}", hint="start it anew, and report this")
                self._refusal = failure
                self._answer([(append, failure) for append in group if not append.future.done()])

    def _take(self) -> list[_Append]:
        """Returns what waits, as far as one group may hold, in order; nothing when the writer is to end."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            group: list[_Append] = []
            size = 0
            while self._waiting and len(group) < APPENDS_MAX:
                size += self._waiting[0].rows.size
                if group and size > BYTES_MAX:
                    break
                group.append(self._waiting.popleft())
                self._waiting_bytes -= group[-1].rows.size
            return group

    def _write(self, group: list[_Append]) -> None:
        """Decides, commits and answers one group."""
        try:
            verdicts = self._commit(group)
        except StoreError as error:
            if isinstance(error, Fenced):
                self._refusal = error
            # Also conflicts are no answer now: they may be with appends of this group, which did not happen.
            self._answer([(append, error) for append in group])
            return
        failpoints.hit("log.before_answer")
        self._answer(list(zip(group, verdicts, strict=True)))

    def _commit(self, group: list[_Append]) -> list[int | Conflict | StoreError]:
        """Returns each append's verdict, once those that were let through are committed. Raises StoreError."""
        if self._refusal is not None:
            raise self._refusal
        self._log.ready()
        base = self._log.position
        if base != self._head:  # an append whose outcome was not known had happened
            self._forget(base)
        try:
            verdicts = [self._decide(append) for append in group]
            through = [append for append, v in zip(group, verdicts, strict=True) if isinstance(v, int)]
            if through:
                if self._log.position != base:
                    raise StoreError("the log has moved while its connection was lost", hint="try again")
                self._log.append(Rows.joined([append.rows for append in through]))
        except BaseException:  # whatever it was, some of this group may be in the index and not in the log
            self._forget(base)
            raise
        self._index.forget_oldest()
        self._head = self._log.position
        self._groups += bool(through)
        self._appends += len(through)
        self._conflicts += sum(isinstance(v, Conflict) for v in verdicts)
        if self._frames is not None:
            events = (event for append in through for event in append.events)
            self._frames.offer([Positioned(base + n, event) for n, event in enumerate(events, 1)])
        return verdicts

    def _forget(self, head: int) -> None:
        """Starts with an empty index; what it held is looked up in the database."""
        self._index = TagIndex(head, self._tagged_events_max)
        self._head = head

    def _decide(self, append: _Append) -> int | Conflict | StoreError:
        """Returns an append's verdict; one that is let through is in the index from here on."""
        query, after = append.condition.query, append.condition.after
        if after > self._index.head:
            self._log.check()  # whoever knows a later position may know it from another writer
            return StoreError(f"position {after} is not in this log of {self._index.head} events")
        found = self._index.matches(query, after)
        if found is None:
            found = self._log.matches(query, after)
        if found:
            return Conflict(query, after)
        for event in append.events:
            self._index.add(event)
        return self._index.head

    def _answer(self, answers: Sequence[tuple[_Append, int | Conflict | StoreError]]) -> None:
        for append, answer in answers:
            if isinstance(answer, StoreError):
                append.future.set_exception(_again(answer))
            else:
                append.future.set_result(answer)


def _again(error: StoreError) -> StoreError:
    """Returns an error of its own for each caller: raising changes it."""
    again = type(error)(str(error), hint=error.hint)
    again.__cause__ = error.__cause__
    return again
