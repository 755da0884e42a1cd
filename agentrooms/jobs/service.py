"""All that does jobs in a living system: worker, schedule and the follower of the log, in the threads of one process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import SigningKey

from agentrooms.accounts.contacts import Contacts
from agentrooms.accounts.notifications import Notifications
from agentrooms.accounts.schema import SCHEMA as ACCOUNTS
from agentrooms.accounts.schema import migrate_accounts, now_ms, open_accounts
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import channel
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import StoreError
from agentrooms.jobs import catalogue
from agentrooms.jobs.analytics import Analytics
from agentrooms.jobs.cleanup import Cleanup
from agentrooms.jobs.mail import Mailer, server_of
from agentrooms.jobs.notify import Notifier
from agentrooms.jobs.queue import JobQueue
from agentrooms.jobs.runs import Runs
from agentrooms.jobs.schedule import Scheduler
from agentrooms.jobs.schema import migrate_jobs
from agentrooms.jobs.triggers import Triggers
from agentrooms.jobs.work import Task
from agentrooms.jobs.worker import Worker
from agentrooms.services.outbound import Outbound

TICK_S = 5.0  # between two looks at the clock
BACKOFF_S = (0.1, 5.0)  # before a part that failed begins anew
TROUBLE_S = 15.0  # for which a failure is told

log = logging.getLogger(__name__)


class JobsPlan(msgspec.Struct, frozen=True):
    """What the jobs of a system need. `log` and `read` are schemas, `data` is the data folder.

    `archive_key` is the 32-byte seed that archives are signed with. Without `smtp_url` nothing is mailed.
    """

    dsn: str
    log: str
    read: str
    data: str
    archive_key: bytes
    smtp_url: str | None = None
    mail_from: str | None = None
    outbound_private: bool = False


class Jobs:
    """Runs until it is told to stop. A part that fails begins anew, and holds up no other."""

    def __init__(self, plan: JobsPlan) -> None:
        """Raises MigrationRefused, InvalidInput for settings that cannot be used."""
        migrate_jobs(plan.dsn)
        migrate_accounts(plan.dsn)
        self._ends = ExitStack()
        self._queue = JobQueue(plan.dsn)
        self._worker = Worker(self._queue, _tasks(plan, self._queue, self._ends))
        store = PostgresLog(plan.dsn, plan.log)
        self._triggers = Triggers(store, plan.dsn, channel=channel(plan.log))
        self._scheduler = Scheduler(plan.dsn)
        for part in (self._queue, store, self._triggers, self._scheduler):
            self._ends.callback(part.close)
        self._failed: tuple[float, str] | None = None

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set, then closes all connections."""
        parts: dict[str, Callable[[threading.Event], None]] = {
            "worker": self._worker.run,
            "triggers": self._triggers.run,
            "schedule": self._tick,
        }
        threads = [
            threading.Thread(target=self._keep, args=(run, stop), name=f"jobs-{name}", daemon=True)
            for name, run in parts.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._ends.close()

    def health(self) -> dict[str, Any]:
        """Returns what is being done, how far the log was followed, and what troubles it."""
        worker = self._worker.health()
        trouble = worker.pop("trouble") or self._triggers.trouble
        if self._failed is not None and time.monotonic() - self._failed[0] < TROUBLE_S:
            trouble = self._failed[1]
        return {**worker, "position": self._triggers.position, "skipped": self._triggers.skipped, "trouble": trouble}

    def _keep(self, run: Callable[[threading.Event], None], stop: threading.Event) -> None:
        wait_s = BACKOFF_S[0]
        while not stop.is_set():
            try:
                run(stop)
            except Exception as error:  # whatever it is, the other parts go on
                log.exception("a part of the jobs failed")
                self._failed = time.monotonic(), f"{type(error).__name__}: {error}"
                stop.wait(wait_s)
                wait_s = min(BACKOFF_S[1], wait_s * 2)

    def _tick(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._scheduler.tick(now_ms())
            except StoreError as error:
                log.warning("the schedule waits: %s", error)
            stop.wait(TICK_S)


def mailer_of(plan: JobsPlan) -> Mailer | None:
    """Returns what sends mail, None when nothing shall. Raises InvalidInput for settings that cannot be used."""
    if plan.smtp_url is None:
        return None
    if plan.mail_from is None or "@" not in plan.mail_from or not plan.mail_from.isprintable():
        raise InvalidInput("SMTP_URL is set, and MAIL_FROM is no address", hint="such as agents@example.org")
    return Mailer(server_of(plan.smtp_url), plan.mail_from)


def _tasks(plan: JobsPlan, queue: JobQueue, ends: ExitStack) -> dict[str, Task]:
    """Returns how each kind of job is done."""
    accounts = open_accounts(plan.dsn)
    ends.callback(accounts.close)
    store = PostgresLog(plan.dsn, plan.log)
    ends.callback(store.close)
    outbound = Outbound(private=plan.outbound_private)
    notifier = Notifier(queue, Contacts(accounts), Notifications(accounts), outbound, mailer_of(plan))
    analytics = Analytics(plan.dsn, plan.read)
    data = Path(plan.data)
    cleanup = Cleanup(store, plan.dsn, read=plan.read, accounts=ACCOUNTS, data=data, key=SigningKey(plan.archive_key))
    return {
        catalogue.ROOM_STATS: analytics.room_stats,
        catalogue.AGENT_PERFORMANCE: analytics.agent_performance,
        catalogue.OLD_DEALS: cleanup.archive,
        catalogue.OLD_MESSAGES: cleanup.messages,
        catalogue.OLD_RECORDS: cleanup.records,
        catalogue.NOTIFY: notifier.notify,
        catalogue.WEBHOOK: notifier.webhook,
        catalogue.EMAIL: notifier.email,
        catalogue.CONFIRMATION: notifier.confirmation,
        catalogue.RUN: Runs(data).run,
    }
