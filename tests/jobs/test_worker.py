"""Workers: a bad job stops nobody, a killed one leaves its job to the next, several do every job once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentrooms.errors import InvalidInput
from agentrooms.jobs.catalogue import ANALYTICS, NOTIFICATIONS, NOTIFY, QUEUES, ROOM_STATS, WEBHOOK, WEBHOOKS
from agentrooms.jobs.queue import JobQueue, NewJob, State
from agentrooms.jobs.work import Hopeless, Interrupted, Work
from agentrooms.jobs.worker import Lane, Worker
from agentrooms.services.failpoints import EXIT_STATUS, VARIABLE
from tests.cli.commands import environment
from tests.cutting import end_connections
from tests.jobs.clock import Clock

LIMIT_S = QUEUES[NOTIFICATIONS].time_limit_s + 5


def ends(queue: JobQueue, id_: str) -> tuple[State, str, int]:
    job = queue.get(id_)
    return job.state, job.error, job.attempts


def test_what_a_task_returns_or_raises_is_how_its_job_ends(queue: JobQueue) -> None:
    def task(work: Work) -> dict[str, Any]:
        match work.job.id:
            case "good":
                return {"seen": work.job.payload["n"]}
            case "wrong":
                raise InvalidInput("no address", hint="name one")
            case "hopeless":
                raise Hopeless("never")
            case "interrupted":
                raise Interrupted("the worker ends")
        raise KeyError("a fault of ours")

    worker = Worker(queue, {NOTIFY: task})
    for n, id_ in enumerate(("fault", "wrong", "hopeless", "good")):
        queue.put(NewJob(id_, NOTIFY, {"n": n}))
    queue.put(NewJob("other", WEBHOOK))
    queue.put(NewJob("interrupted", NOTIFY))
    for _n in range(6):
        assert worker.step([NOTIFICATIONS, WEBHOOKS])
    assert ends(queue, "fault") == (State.WAITING, "KeyError: 'a fault of ours'", 1)
    assert ends(queue, "wrong") == (State.WAITING, "no address (name one)", 1)
    assert ends(queue, "hopeless") == (State.DEAD, "never", 1)
    assert ends(queue, "good") == (State.DONE, "", 1)
    assert queue.get("good").result == {"seen": 3}
    assert ends(queue, "other") == (State.DEAD, f"this worker does no jobs of the kind {WEBHOOK}", 1)
    assert ends(queue, "interrupted") == (State.WAITING, "", 0)
    assert worker.ended == 6


@pytest.mark.parametrize("place", ["jobs.taken", "jobs.before_done"])
def test_a_worker_that_is_killed_leaves_its_job_to_the_next(
    place: str, queue: JobQueue, clock: Clock, postgres_dsn: str, jobs_schema: str, tmp_path: Path
) -> None:
    queue.put(NewJob("n1", NOTIFY))
    file = tmp_path / "done"

    def child(**more: str) -> int:
        command = [sys.executable, "-m", "tests.jobs.child", postgres_dsn, jobs_schema, str(clock.ms), str(file)]
        return subprocess.run(command, check=False, env=environment(**more), timeout=60).returncode

    assert child(**{VARIABLE: f"{place}:exit"}) == EXIT_STATUS
    assert queue.get("n1").state is State.RUNNING
    assert child() == 0, "nobody takes it while the lease holds"
    assert queue.get("n1").state is State.RUNNING
    clock.pass_s(LIMIT_S)
    assert queue.take([ANALYTICS]) is None
    clock.pass_s(30)
    assert child() == 0
    ended = queue.get("n1")
    assert (ended.state, ended.result) == (State.DONE, {"attempt": 2})
    assert file.read_text().splitlines() == (["n1 2"] if place == "jobs.taken" else ["n1 1", "n1 2"])


def test_threads_of_two_workers_do_every_job_once_and_go_on_after_bad_ones_and_a_lost_database(
    queue: JobQueue, postgres_dsn: str, jobs_schema: str, clock: Clock
) -> None:
    done: Counter[str] = Counter()
    all_done, half = threading.Event(), threading.Event()
    count = 40

    def task(work: Work) -> dict[str, Any]:
        done[work.job.id] += 1
        if len(done) >= count // 2:
            half.set()
        if len(done) == count:
            all_done.set()
        if work.job.payload["n"] % 4 == 0:
            raise Hopeless("a bad one")
        return {}

    other = JobQueue(postgres_dsn, jobs_schema, clock)
    lanes = (Lane((NOTIFICATIONS,), 2), Lane((ANALYTICS,), 1))
    stop = threading.Event()
    workers = [Worker(one, {NOTIFY: task, ROOM_STATS: task}, lanes) for one in (queue, other)]
    threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in workers]
    for thread in threads:
        thread.start()
    for n in range(count // 2):
        queue.put(NewJob(f"j{n}", NOTIFY if n % 2 else ROOM_STATS, {"n": n}))
    assert half.wait(60)
    assert end_connections(postgres_dsn, jobs_schema)
    for n in range(count // 2, count):
        queue.put(NewJob(f"j{n}", NOTIFY if n % 2 else ROOM_STATS, {"n": n}))
    assert all_done.wait(60)
    stop.set()
    for thread in threads:
        thread.join()
    other.close()
    assert set(done) == {f"j{n}" for n in range(count)}
    ended = queue.jobs(limit=count)
    assert sum(done.values()) == sum(job.lease for job in ended), "as often as it was taken"
    assert not [job for job in ended if job.state is State.DONE and job.payload["n"] % 4 == 0]
    assert workers[0].health()["busy"] == ""
