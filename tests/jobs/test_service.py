"""All of it together: an event in the log becomes a delivery, by itself; a part that fails holds up no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest

from agentrooms.accounts.contacts import Contacts
from agentrooms.accounts.notifications import Kind, Notifications
from agentrooms.accounts.schema import migrate_accounts, open_accounts
from agentrooms.accounts.sessions import Sessions
from agentrooms.domain.deal import DealCompleted, DealFailed
from agentrooms.domain.user import user_id
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.record import decode_line
from agentrooms.jobs.catalogue import KINDS
from agentrooms.jobs.service import Jobs, JobsPlan, _tasks, mailer_of
from tests.domain import samples
from tests.jobs.receivers import hook
from tests.live_archive.system import System


@pytest.fixture
def plan(database: str, tmp_path: Path) -> JobsPlan:
    migrate_log(database, "log")
    migrate_accounts(database)
    return JobsPlan(database, "log", "read", str(tmp_path), bytes(32), outbound_private=True)


@contextmanager
def at_work(plan: JobsPlan) -> Iterator[Jobs]:
    """Gives jobs that run in a thread, and end with the block."""
    jobs, stop = Jobs(plan), threading.Event()
    thread = threading.Thread(target=jobs.run, args=(stop,))
    thread.start()
    try:
        yield jobs
    finally:
        stop.set()
        thread.join()


def await_(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_event_becomes_a_delivery_by_itself(plan: JobsPlan, system: System) -> None:
    events = [one.event for one in system.store.read()]
    ends = [n for n, one in enumerate(events) if isinstance(decode_line(one.data).event, DealCompleted | DealFailed)]
    store, accounts = PostgresLog(plan.dsn, plan.log), open_accounts(plan.dsn)
    contacts, notifications = Contacts(accounts), Notifications(accounts)
    names = [*(f"b{n}" for n in range(7)), *(f"s{n}" for n in range(1, 7))]
    users = [user_id(samples.wallet(name)) for name in names]
    with hook() as receiver:
        for name in names:
            Sessions(accounts, 60_000).start(samples.wallet(name))
        for user in users:
            contacts.add_webhook(user, receiver.url, [Kind.DEAL_COMPLETED, Kind.DEAL_FAILED])
        store.append(events[: ends[2]], None)  # no news any more when jobs begin
        with at_work(plan) as jobs:
            await_(lambda: jobs.health()["position"] == store.head())
            store.append(events[ends[2] :], None)
            await_(lambda: len(receiver.got) >= 2 * len(ends[2:]))
            await_(lambda: jobs.health()["position"] == store.head())
        told = [one for user in users for one in notifications.page(user)]
    accounts.close()
    store.close()
    assert sorted(headers["Agentrooms-Id"] for headers, _body in receiver.got) == sorted(
        one.id for one in told if one.kind in {Kind.DEAL_COMPLETED, Kind.DEAL_FAILED}
    )
    assert len(receiver.got) == 2 * len(ends[2:])


def test_a_lost_database_is_waited_for_and_a_fault_is_told(
    plan: JobsPlan, system: System, caplog: pytest.LogCaptureFixture
) -> None:
    store = PostgresLog(plan.dsn, plan.log)
    with at_work(plan) as jobs:
        with psycopg.connect(plan.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        store.append([one.event for one in system.store.read()][:9], None)
        await_(lambda: jobs.health()["position"] == store.head())
        unknown = msgspec.structs.replace(system.store.read()[0].event, type="deal.completed", data=b"no line")
        store.append([unknown], None)
        await_(lambda: "BrokenLine" in jobs.health()["trouble"])
    store.close()


def test_every_kind_of_job_is_done_by_something(plan: JobsPlan) -> None:
    from contextlib import ExitStack

    from agentrooms.jobs.queue import JobQueue

    with ExitStack() as ends:
        queue = JobQueue(plan.dsn)
        ends.callback(queue.close)
        assert _tasks(plan, queue, ends).keys() == KINDS.keys()


def test_settings_of_mail_are_looked_at_before_anything_starts(plan: JobsPlan) -> None:
    assert mailer_of(plan) is None
    url = "smtp://mail.example.org"
    assert mailer_of(msgspec.structs.replace(plan, smtp_url=url, mail_from="Agents <a@example.org>")) is not None
    for sender in (None, "nobody", "a@example.org\nBcc: b@example.org"):
        with pytest.raises(InvalidInput, match="MAIL_FROM"):
            mailer_of(msgspec.structs.replace(plan, smtp_url=url, mail_from=sender))
