"""The clock makes jobs: at the PRD's times in UTC, each time once, a missed one when somebody is there again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.accounts.schema import DAY_MS
from agentrooms.jobs import catalogue
from agentrooms.jobs.catalogue import ANALYTICS, KINDS, OLD_DEALS, QUEUES, ROOM_STATS, SCHEDULES, Schedule
from agentrooms.jobs.queue import JobQueue
from agentrooms.jobs.schedule import Scheduler, latest_due_ms

EVERY_FIVE = Schedule(ROOM_STATS, 5 * 60_000)
AT_TWO = Schedule(OLD_DEALS, DAY_MS, 2 * 3_600_000)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.fixture
def scheduler(queue: JobQueue, postgres_dsn: str, jobs_schema: str) -> Iterator[Scheduler]:
    scheduler = Scheduler(postgres_dsn, jobs_schema, (EVERY_FIVE, AT_TWO))
    yield scheduler
    scheduler.close()


def test_the_schedules_are_those_of_the_product() -> None:
    """Analytics every five minutes, clean-up daily at two."""
    times = {schedule.kind: (schedule.every_ms, schedule.after_ms) for schedule in SCHEDULES}
    for kind, (every_ms, after_ms) in times.items():
        due = (300_000, 0) if KINDS[kind] == ANALYTICS else (86_400_000, 7_200_000)
        assert (every_ms, after_ms) == due, kind
    assert times.keys() == {kind for kind, queue in KINDS.items() if queue in {"analytics", "cleanup"}}


@pytest.mark.parametrize(
    ("schedule", "now", "due"),
    [
        (EVERY_FIVE, "2026-03-01 00:04:59.999", "2026-03-01 00:00:00"),
        (EVERY_FIVE, "2026-03-01 00:05:00", "2026-03-01 00:05:00"),
        (AT_TWO, "2026-03-01 01:59:59.999", "2026-02-28 02:00:00"),
        (AT_TWO, "2026-03-01 02:00:00", "2026-03-01 02:00:00"),
        (AT_TWO, "2026-03-29 23:00:00", "2026-03-29 02:00:00"),
    ],
)
def test_due_times(schedule: Schedule, now: str, due: str) -> None:
    assert latest_due_ms(schedule, ms(now)) == ms(due)


@given(st.integers(0, 2**42), st.sampled_from(SCHEDULES))
def test_the_last_due_time_is_the_last_one(now: int, schedule: Schedule) -> None:
    due = latest_due_ms(schedule, now)
    assert due <= now < due + schedule.every_ms
    assert (due - schedule.after_ms) % schedule.every_ms == 0


def test_each_time_makes_one_job_and_a_new_schedule_begins_with_its_next(scheduler: Scheduler, queue: JobQueue) -> None:
    assert scheduler.tick(ms("2026-03-01 01:58:00")) == []
    assert scheduler.tick(ms("2026-03-01 01:59:59")) == []
    made = scheduler.tick(ms("2026-03-01 02:00:01"))
    assert made == [f"{ROOM_STATS}:{ms('2026-03-01 02:00')}", f"{OLD_DEALS}:{ms('2026-03-01 02:00')}"]
    assert scheduler.tick(ms("2026-03-01 02:04:59")) == []
    assert [job.id for job in queue.jobs()] == made[::-1]
    assert queue.get(made[0]).payload == {"due_at_ms": ms("2026-03-01 02:00")}


def test_what_was_missed_is_made_up_for_once(scheduler: Scheduler) -> None:
    scheduler.tick(ms("2026-03-01 01:00"))
    assert scheduler.tick(ms("2026-03-05 09:33")) == [
        f"{ROOM_STATS}:{ms('2026-03-05 09:30')}",
        f"{OLD_DEALS}:{ms('2026-03-05 02:00')}",
    ]
    assert scheduler.tick(ms("2026-03-05 09:34")) == []


def test_a_clock_that_goes_back_makes_nothing(scheduler: Scheduler) -> None:
    scheduler.tick(ms("2026-03-01 01:00"))
    scheduler.tick(ms("2026-03-01 01:10"))
    assert scheduler.tick(ms("2026-03-01 01:06")) == []


def test_many_schedulers_at_once_make_each_job_once(
    scheduler: Scheduler, queue: JobQueue, postgres_dsn: str, jobs_schema: str
) -> None:
    scheduler.tick(ms("2026-03-01 01:00"))
    others = [Scheduler(postgres_dsn, jobs_schema, (EVERY_FIVE, AT_TWO)) for _n in range(3)]
    with ThreadPoolExecutor(4) as pool:
        for hour in range(2, 8):
            list(pool.map(lambda one: one.tick(ms(f"2026-03-0{hour} 03:00")), [scheduler, *others]))  # noqa: B023
    for other in others:
        other.close()
    assert len(queue.jobs()) == 2 * 6


def test_when_nobody_works_the_last_time_is_made_up_for_later(
    scheduler: Scheduler, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = msgspec.structs.replace(QUEUES[ANALYTICS], open_max=1)
    monkeypatch.setitem(catalogue.QUEUES, ANALYTICS, small)
    scheduler.tick(ms("2026-03-01 03:00"))
    assert len(scheduler.tick(ms("2026-03-01 03:05"))) == 1
    assert scheduler.tick(ms("2026-03-01 03:10")) == []
    job = queue.take([ANALYTICS])
    assert job is not None
    queue.done(job, {})
    assert scheduler.tick(ms("2026-03-01 03:11")) == [f"{ROOM_STATS}:{ms('2026-03-01 03:10')}"]
