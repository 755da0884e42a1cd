"""The worker: threads that take jobs, do them and say how they ended. A job that fails, or hangs, stops no other lane."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agentrooms.errors import AgentroomsError
from agentrooms.events.store import StoreError
from agentrooms.jobs.catalogue import ANALYTICS, CLEANUP, NOTIFICATIONS, RUNS, WEBHOOKS
from agentrooms.jobs.queue import Job, JobQueue
from agentrooms.jobs.work import Hopeless, Interrupted, Task, Work
from agentrooms.services.failpoints import hit

POLL_S = 1.0  # how long a lost NOTIFY, or a retry that is due, can wait
RETRY_S = 1.0  # before a database that is away is asked again
STOP_TIMEOUT_S = 10  # for jobs under way when the worker ends; their leases do the rest

log = logging.getLogger(__name__)


class Lane(msgspec.Struct, frozen=True):
    """So many threads for some queues, so that long jobs do not hold up short ones."""

    queues: tuple[str, ...]
    threads: int


LANES = (
    Lane((NOTIFICATIONS,), 2),
    Lane((WEBHOOKS,), 2),
    Lane((ANALYTICS,), 1),
    Lane((CLEANUP,), 1),
    Lane((RUNS,), 1),
)


class Worker:
    """Does the jobs of a queue. `tasks` says how each kind is done."""

    def __init__(self, queue: JobQueue, tasks: Mapping[str, Task], lanes: Sequence[Lane] = LANES) -> None:
        self._queue, self._tasks, self._lanes = queue, tasks, lanes
        self._news = threading.Condition()
        self._busy: Counter[str] = Counter()
        self._counting = threading.Lock()  # of what is busy and has ended, by several threads
        self._trouble = ""
        self.ended = 0
        """How many attempts have ended here, well or not."""

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Waits for a database that is away."""
        threads = [
            threading.Thread(target=self._work, args=(lane, stop), name=f"jobs-{lane.queues[0]}-{n}", daemon=True)
            for lane in self._lanes
            for n in range(lane.threads)
        ]
        for thread in threads:
            thread.start()
        while not stop.is_set():
            try:
                self._queue.await_new(POLL_S)
                self._trouble = ""
            except StoreError as error:
                self._trouble = str(error)
                stop.wait(RETRY_S)
            self._tell()
        self._tell()
        for thread in threads:
            thread.join(STOP_TIMEOUT_S)

    def health(self) -> dict[str, Any]:
        """Returns what is being done, and what troubles it."""
        with self._counting:
            busy = sorted(+self._busy)
        return {"jobs_ended": self.ended, "busy": " ".join(busy), "trouble": self._trouble}

    def step(self, queues: Sequence[str], stop: threading.Event | None = None) -> bool:
        """Does the next job that is due, if there is one; returns whether there was. Raises StoreError."""
        job = self._queue.take(queues)
        if job is None:
            return False
        hit("jobs.taken")
        with self._counting:
            self._busy[job.kind] += 1
        try:
            self._do(job, stop or threading.Event())
        finally:
            with self._counting:
                self._busy[job.kind] -= 1
                self.ended += 1
        return True

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def _work(self, lane: Lane, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                if self.step(lane.queues, stop):
                    continue
                with self._news:
                    if not stop.is_set():
                        self._news.wait(POLL_S)
            except StoreError as error:
                log.warning("jobs wait: %s", error)
                stop.wait(RETRY_S)

    def _do(self, job: Job, stop: threading.Event) -> None:
        task = self._tasks.get(job.kind)
        try:
            if task is None:
                raise Hopeless(f"this worker does no jobs of the kind {job.kind}")
            result = task(Work(job, self._queue, stop))
        except Interrupted:
            self._queue.give_back(job)
        except Hopeless as error:
            self._queue.failed(job, said(error), for_good=True)
        except Exception as error:  # whatever a job does, the next one is done
            log.warning("job %s failed: %s", job.id, said(error), exc_info=not isinstance(error, AgentroomsError))
            self._queue.failed(job, said(error))
        else:
            hit("jobs.before_done")
            self._queue.done(job, result)


def said(error: Exception) -> str:
    """Returns an error as it is kept with a job: without the traceback, and with what can be done."""
    if not isinstance(error, AgentroomsError):
        return f"{type(error).__name__}: {error}"
    return f"{error} ({error.hint})" if error.hint else str(error)
