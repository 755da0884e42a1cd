"""The queue on a real Postgres: every job once at a time, again after a failure, never lost, never without bounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from agentrooms.errors import InvalidInput
from agentrooms.jobs import catalogue
from agentrooms.jobs.catalogue import (
    ANALYTICS,
    CLEANUP,
    NOTIFICATIONS,
    NOTIFY,
    OLD_DEALS,
    QUEUES,
    ROOM_STATS,
    RUN,
    WEBHOOK,
    WEBHOOKS,
)
from agentrooms.jobs.queue import (
    BACKOFF_MAX_S,
    PAYLOAD_BYTES_MAX,
    Job,
    JobQueue,
    NewJob,
    NoSuchJob,
    QueueFull,
    State,
    backoff_s,
)
from tests.jobs.clock import Clock

ALL = tuple(QUEUES)
LIMIT_S = QUEUES[NOTIFICATIONS].time_limit_s + 5


def told(id: str = "n1") -> NewJob:
    return NewJob(id, NOTIFY, {"user": "user_a"}, "user_a")


def taken(queue: JobQueue, *queues: str) -> Job:
    job = queue.take(queues or ALL)
    assert job is not None
    return job


def test_a_job_is_done_once(queue: JobQueue) -> None:
    put = queue.put(told())
    job = taken(queue)
    assert (job.id, job.state, job.attempts, job.payload) == ("n1", State.RUNNING, 1, {"user": "user_a"})
    assert queue.take(ALL) is None
    assert queue.progress(job, {"percent": 50})
    assert queue.get("n1").progress == {"percent": 50}
    assert queue.done(job, {"deliveries": ["d"]})
    ended = queue.get("n1")
    assert (ended.state, ended.result, ended.error, ended.number) == (State.DONE, {"deliveries": ["d"]}, "", put.number)
    assert queue.take(ALL) is None


def test_a_job_put_again_is_the_same_one(queue: JobQueue) -> None:
    first = queue.put(told())
    assert queue.put(told()) == first
    queue.done(taken(queue), {})
    assert queue.put(told()).state is State.DONE
    with pytest.raises(InvalidInput, match="another job has the id n1"):
        queue.put(msgspec.structs.replace(told(), payload={"user": "user_b"}))


@pytest.mark.parametrize(
    "wrong",
    [
        NewJob("n1", "mine_bitcoin"),
        NewJob("", NOTIFY),
        NewJob("n" * 201, NOTIFY),
        NewJob("n\n1", NOTIFY),
        NewJob("ñ1", NOTIFY),
        NewJob("n1", NOTIFY, {"x": "x" * PAYLOAD_BYTES_MAX}),
        NewJob("n1", NOTIFY, {"x": "\0"}),
    ],
)
def test_what_is_no_job_is_refused(queue: JobQueue, wrong: NewJob) -> None:
    with pytest.raises(InvalidInput):
        queue.put(wrong)
    assert queue.jobs() == []


def test_urgent_jobs_go_first_then_those_that_wait_longest(queue: JobQueue, clock: Clock) -> None:
    queue.put(NewJob("low", ROOM_STATS))
    clock.pass_s(1)
    queue.put(told("later"))
    queue.put(msgspec.structs.replace(told("future"), run_at_ms=clock.ms + 1))
    clock.pass_s(1)
    queue.put(told("last"))
    assert [taken(queue).id for _job in range(4)] == ["later", "future", "last", "low"]


def test_a_worker_takes_only_from_its_queues_and_nothing_before_its_time(queue: JobQueue, clock: Clock) -> None:
    queue.put(NewJob("a", ROOM_STATS))
    queue.put(NewJob("b", OLD_DEALS, run_at_ms=clock.ms + 1_000))
    assert queue.take([CLEANUP, NOTIFICATIONS]) is None
    assert taken(queue, ANALYTICS).id == "a"
    clock.pass_s(1)
    assert taken(queue, CLEANUP).id == "b"


def test_a_failed_job_is_tried_again_later_and_dead_after_its_last_attempt(queue: JobQueue, clock: Clock) -> None:
    queue.put(told())
    for attempt, wait_s in ((1, 30), (2, 60)):
        assert queue.failed(taken(queue), f"no answer {attempt}")
        clock.pass_s(wait_s - 0.001)
        assert queue.take(ALL) is None
        clock.pass_s(0.001)
    last = taken(queue)
    assert last.last_attempt
    assert queue.failed(last, "no answer 3")
    dead = queue.get("n1")
    assert (dead.state, dead.attempts, dead.error) == (State.DEAD, 3, "no answer 3")
    clock.pass_s(86_400)
    assert queue.take(ALL) is None


def test_a_hopeless_job_is_dead_at_once(queue: JobQueue) -> None:
    queue.put(told())
    queue.failed(taken(queue), "the address is private", for_good=True)
    assert queue.get("n1").state is State.DEAD


def test_waits_double_up_to_a_bound_and_differ() -> None:
    mail = QUEUES[NOTIFICATIONS]
    assert [backoff_s(mail, n, 0) for n in (1, 2, 3)] == [30, 60, 120]
    assert backoff_s(mail, 1, 1) == 45
    assert backoff_s(mail, 60, 0) == BACKOFF_MAX_S


def test_a_job_whose_worker_is_gone_is_taken_over_and_the_late_one_changes_nothing(
    queue: JobQueue, clock: Clock
) -> None:
    queue.put(told())
    late = taken(queue)
    clock.pass_s(LIMIT_S - 0.001)
    assert queue.take(ALL) is None
    clock.pass_s(0.001)
    assert queue.take(ALL) is None, "it waits first, as after any failure"
    assert "its worker was gone" in queue.get("n1").error
    clock.pass_s(30)
    again = taken(queue)
    assert (again.attempts, again.lease) == (2, 2)
    assert not queue.done(late, {"by": "the late one"})
    assert not queue.failed(late, "by the late one")
    assert not queue.progress(late, {"by": "the late one"})
    assert not queue.give_back(late)
    assert queue.get("n1") == again
    assert queue.done(again, {"by": "the second"})
    assert queue.get("n1").result == {"by": "the second"}


def test_the_last_attempt_of_a_lost_worker_leaves_a_dead_job(queue: JobQueue, clock: Clock) -> None:
    queue.put(NewJob("a", ROOM_STATS))
    taken(queue)
    clock.pass_s(3_600)
    assert queue.take(ALL) is None
    assert queue.get("a").state is State.DEAD


def test_a_worker_that_ends_gives_its_job_back(queue: JobQueue) -> None:
    queue.put(NewJob("a", ROOM_STATS))
    assert queue.give_back(taken(queue))
    assert taken(queue).attempts == 1


def test_dead_jobs_begin_anew_when_asked(queue: JobQueue) -> None:
    for n in range(3):
        queue.put(NewJob(f"a{n}", ROOM_STATS))
        queue.failed(taken(queue), "broken")
    queue.put(told())
    revived = queue.retry("a1")
    assert (revived.state, revived.attempts) == (State.WAITING, 0)
    assert queue.retry_dead(NOTIFICATIONS) == 0
    assert queue.retry_dead() == 2
    with pytest.raises(InvalidInput, match="is waiting, not dead"):
        queue.retry("n1")
    with pytest.raises(NoSuchJob):
        queue.retry("a9")
    assert {taken(queue, ANALYTICS).id for _job in range(3)} == {"a0", "a1", "a2"}


def test_many_workers_do_every_job_once(queue: JobQueue) -> None:
    for n in range(60):
        queue.put(told(f"n{n}"))

    def work(_worker: int) -> list[str]:
        done = []
        while (job := queue.take(ALL)) is not None:
            done.append(job.id)
            assert queue.done(job, {})
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [id_ for part in pool.map(work, range(4)) for id_ in part]
    assert sorted(done) == sorted(f"n{n}" for n in range(60))


def test_only_so_many_jobs_of_a_queue_are_open(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    small = msgspec.structs.replace(QUEUES[NOTIFICATIONS], open_max=2)
    monkeypatch.setitem(catalogue.QUEUES, NOTIFICATIONS, small)
    queue.put(told("n1"))
    queue.put(told("n2"))
    taken(queue)
    with pytest.raises(QueueFull, match="2 jobs of the queue notifications"):
        queue.put(told("n3"))
    assert queue.put(told("n2")).id == "n2"
    assert queue.put(NewJob("a", ROOM_STATS)).id == "a"
    queue.done(taken(queue), {})
    queue.put(told("n3"))


def test_old_ends_are_forgotten_open_jobs_never(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrooms.jobs.queue.PRUNE_EVERY", 1)
    monkeypatch.setitem(catalogue.QUEUES, NOTIFICATIONS, msgspec.structs.replace(QUEUES[NOTIFICATIONS], kept_max=2))
    queue.put(NewJob("a", ROOM_STATS))
    queue.done(taken(queue), {})
    for n in range(5):
        queue.put(told(f"n{n}"))
    for _n in range(4):
        queue.done(taken(queue), {})
    assert [job.id for job in queue.jobs()] == ["n4", "n3", "n2", "a"]


def test_jobs_are_listed_by_pages_and_counted(queue: JobQueue) -> None:
    for n in range(5):
        queue.put(told(f"n{n}"))
    queue.put(NewJob("hook", WEBHOOK, user="user_b"))
    queue.done(taken(queue), {})
    page = queue.jobs(limit=2)
    assert [job.id for job in page] == ["hook", "n4"]
    assert [job.id for job in queue.jobs(before=page[-1].number, state=State.WAITING)] == ["n3", "n2", "n1"]
    assert [job.id for job in queue.jobs(user="user_b", queue=WEBHOOKS)] == ["hook"]
    assert queue.counts()[NOTIFICATIONS] == {"waiting": 4, "running": 0, "done": 1, "dead": 0}
    with pytest.raises(InvalidInput):
        queue.jobs(limit=0)


def test_a_user_who_is_erased_leaves_no_job(queue: JobQueue) -> None:
    queue.put(told())
    queue.put(msgspec.structs.replace(told("n2"), user="user_b"))
    queue.put(NewJob("run", RUN, user="user_a"))
    running = taken(queue)
    assert queue.forget("user_a") == 2
    assert [(job.id, job.user) for job in queue.jobs()] == [("run", None), ("n2", "user_b")]
    assert not queue.done(running, {}), "whoever was at it finds nothing to end"


def test_a_waiting_worker_is_woken_by_a_job(queue: JobQueue) -> None:
    """Also by one that was put when it was not waiting."""
    assert not queue.await_new(0)
    queue.put(told())
    assert queue.await_new(3_600)
    assert not queue.await_new(0.01)
