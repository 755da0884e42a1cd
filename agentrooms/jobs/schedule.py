"""When jobs are made by the clock. Times are UTC; each due time makes one job, whoever asks, however often.

Of the times that were missed while nothing ran only the last one is made up for.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentrooms.events.postgres import Connection, Connections
from agentrooms.jobs import queue
from agentrooms.jobs.catalogue import SCHEDULES, Schedule
from agentrooms.jobs.queue import NewJob
from agentrooms.jobs.schema import SCHEMA


def latest_due_ms(schedule: Schedule, now: int) -> int:
    """Returns the last moment up to `now` (ms since 1970) at which a schedule was due."""
    return (now - schedule.after_ms) // schedule.every_ms * schedule.every_ms + schedule.after_ms


class Scheduler:
    """Makes the jobs that are due. Any number of them may run at once."""

    def __init__(self, dsn: str, schema: str = SCHEMA, schedules: Sequence[Schedule] = SCHEDULES) -> None:
        self._connections = Connections(dsn, schema)
        self._schema = schema
        self._schedules = schedules
        self._seen: dict[str, int] = {}  # due times that need no second look

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()

    def tick(self, now: int) -> list[str]:
        """Makes what is due at a moment (ms since 1970); returns the ids of the jobs made. Raises StoreError.

        A schedule that is new begins with its next time.
        """
        made = []
        for schedule in self._schedules:
            due = latest_due_ms(schedule, now)
            if self._seen.get(schedule.kind) != due:
                made.append(self._make(schedule, due, now))
        return list(filter(None, made))

    def _make(self, schedule: Schedule, due: int, now: int) -> str:
        new = NewJob(f"{schedule.kind}:{due}", schedule.kind, {"due_at_ms": due})

        def work(connection: Connection) -> str:
            with connection.transaction():
                known = connection.execute(
                    "INSERT INTO schedules VALUES (%s, %s) ON CONFLICT DO NOTHING", [schedule.kind, due]
                )
                if known.rowcount == 1:
                    return ""
                moved = connection.execute(
                    "UPDATE schedules SET due_at_ms = %(due)s WHERE name = %(name)s AND due_at_ms < %(due)s",
                    {"due": due, "name": schedule.kind},
                )
                if moved.rowcount == 0:
                    return ""
                queue.put(connection, new, now, self._schema)
                return new.id

        try:
            made = self._connections.repeat(work)
        except queue.QueueFull:
            return ""  # nobody works; the time is made up for when somebody does
        self._seen[schedule.kind] = due
        return made
