"""What a task is given, and what it may raise to say how a job ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from agentrooms.errors import AgentroomsError
from agentrooms.jobs.catalogue import QUEUES
from agentrooms.jobs.queue import Job, JobQueue


class Hopeless(AgentroomsError):
    """A job cannot succeed, however often it is tried."""


class Interrupted(AgentroomsError):
    """The worker ends before the job does; another begins it anew."""


class Work:
    """One attempt of a job. Its time is over at `deadline_s` of the monotonic clock; `stop` is set when the worker ends."""

    def __init__(self, job: Job, queue: JobQueue, stop: threading.Event) -> None:
        self.job, self.queue, self.stop = job, queue, stop
        self.deadline_s = time.monotonic() + QUEUES[job.queue].time_limit_s

    @property
    def left_s(self) -> float:
        """How much of its time is left, at least a thousandth of a second."""
        return max(0.001, self.deadline_s - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self.deadline_s

    @property
    def left_ms(self) -> int:
        """The same in milliseconds, as Postgres takes it for a statement."""
        return max(1, int(self.left_s * 1_000))


Task = Callable[[Work], dict[str, Any]]
"""Does a job of one kind, within its time, and returns what it came to. May be done twice with the effect of once."""
