"""A worker in a process of its own, which a failpoint may kill: `child.py DSN SCHEMA NOW_MS FILE`.

It does what waits in the queue of notifications; each job adds a line to the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from agentrooms.jobs.catalogue import NOTIFICATIONS, NOTIFY
from agentrooms.jobs.queue import JobQueue
from agentrooms.jobs.work import Work
from agentrooms.jobs.worker import Worker
from tests.jobs.clock import Clock


def main() -> None:
    """Does what the command line says."""
    dsn, schema, now_ms, file = sys.argv[1:]

    def task(work: Work) -> dict[str, Any]:
        with Path(file).open("a") as lines:
            lines.write(f"{work.job.id} {work.job.attempts}\n")
        return {"attempt": work.job.attempts}

    queue = JobQueue(dsn, schema, Clock(int(now_ms)), lambda: 0.0)
    worker = Worker(queue, {NOTIFY: task})
    while worker.step([NOTIFICATIONS]):
        pass


if __name__ == "__main__":
    main()
