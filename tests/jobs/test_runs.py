"""Runs as jobs: a process of its own, the same bytes as from the command line, again after a death, never half."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from agentrooms.errors import InvalidInput
from agentrooms.jobs import catalogue
from agentrooms.jobs.catalogue import QUEUES, RUN, RUNS
from agentrooms.jobs.queue import JobQueue, NoSuchJob, State
from agentrooms.jobs.run_process import ORPHANED, Fork, Plan
from agentrooms.jobs.runs import Runs, fork_run, run_folder, run_state, run_states, start_run
from agentrooms.jobs.worker import Worker
from agentrooms.services.failpoints import VARIABLE
from agentrooms.sim import archive
from agentrooms.sim.archive import lines_of
from agentrooms.sim.audit import audit
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.audit.archives import failing
from tests.jobs.clock import Clock

SETTINGS = preset("small_test", 7)


@pytest.fixture
def worker(queue: JobQueue, tmp_path: Path) -> Worker:
    return Worker(queue, {RUN: Runs(tmp_path).run})


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "run_process" in " ".join(one.cmdline())]


def test_a_run_and_its_fork_are_made_by_processes_of_their_own(queue: JobQueue, worker: Worker, tmp_path: Path) -> None:
    assert start_run(queue, "run_a", SETTINGS, "user_a") == start_run(queue, "run_a", SETTINGS, "user_a") == "run_a"
    with pytest.raises(InvalidInput, match="no finished run run_a"):
        fork_run(queue, "run_b", tmp_path, Fork("run_a", 60, ("x",)))
    assert worker.step([RUNS])
    made = run_state(queue, "run_a")
    assert (made.state, made.settings, made.fork, made.user) == (State.DONE, SETTINGS, None, "user_a")
    engine = Engine(SETTINGS)
    engine.run()
    folder = run_folder(tmp_path, "run_a")
    assert archive.read_lines(folder) == lines_of(engine)
    manifest = archive.read_manifest(folder)
    assert made.result == {"head": manifest.head, "events": manifest.events, "seed": 7, "sharedEvents": 0}
    assert {"round", "agents", "deals", "events"} == made.progress.keys()

    agent = next(r.event.agent for r in archive.read_events(folder) if r.type == "agent.spawned")  # type: ignore[attr-defined]
    fork = Fork("run_a", 60, (f"agent.{agent}.removed=true",))
    fork_run(queue, "run_b", tmp_path, fork, "user_b")
    fork_run(queue, "run_c", tmp_path, Fork("run_a", 60, ("agent.nobody.removed=true",)))
    assert worker.step([RUNS])
    assert worker.step([RUNS])
    forked, refused = run_state(queue, "run_b"), run_state(queue, "run_c")
    assert (forked.state, forked.fork) == (State.DONE, fork), forked.error
    assert forked.result["sharedEvents"] >= 60
    assert failing(audit(run_folder(tmp_path, "run_b"))) == {}
    assert refused.state is State.DEAD
    assert "means no agent of this run" in refused.error
    assert [run.id for run in run_states(queue)] == ["run_c", "run_b", "run_a"]
    assert [run.id for run in run_states(queue, user="user_b")] == ["run_b"]
    assert sorted(one.name for one in (tmp_path / "runs").iterdir()) == ["run_a", "run_b"]
    assert children() == []


@pytest.mark.parametrize("wrong", ["", "../x", "a/b", "A", ".hidden", "a" * 65, "run\n"])
def test_what_is_no_id_is_refused(queue: JobQueue, tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InvalidInput):
        start_run(queue, wrong, SETTINGS)
    with pytest.raises(InvalidInput):
        fork_run(queue, "run_b", tmp_path, Fork(wrong, 1, ("x",)))
    with pytest.raises(NoSuchJob):
        run_state(queue, wrong)
    assert queue.jobs() == []


def test_what_is_no_run_is_refused(queue: JobQueue) -> None:
    with pytest.raises(InvalidInput):
        start_run(queue, "run_a", msgspec.structs.replace(SETTINGS, buyers=0))
    assert queue.jobs() == []


def test_a_killed_run_is_made_again_and_leaves_no_half_archive(
    queue: JobQueue, worker: Worker, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "run.before_archive:exit")
    start_run(queue, "run_a", SETTINGS)
    worker.step([RUNS])
    waiting = run_state(queue, "run_a")
    assert waiting.state is State.WAITING
    assert "the run's process ended with 86" in waiting.error
    assert list((tmp_path / "runs").iterdir()) == []
    monkeypatch.delenv(VARIABLE)
    clock.pass_s(60)
    worker.step([RUNS])
    assert run_state(queue, "run_a").state is State.DONE


def begin(worker: Worker, stop: threading.Event) -> threading.Thread:
    """Has a run begun whose process stands still before it ends; returns the thread that follows it."""
    thread = threading.Thread(target=worker.step, args=([RUNS], stop))
    thread.start()
    while not any(one.status() == psutil.STATUS_STOPPED for one in children()):
        assert thread.is_alive()
        time.sleep(0.01)
    return thread


def test_a_worker_that_ends_takes_the_process_along_and_gives_the_run_back(
    queue: JobQueue, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "run.before_archive:stop")
    start_run(queue, "run_a", SETTINGS)
    stop = threading.Event()
    thread = begin(worker, stop)
    stop.set()
    thread.join()
    assert children() == []
    job = queue.get(f"{RUN}:run_a")
    assert (job.state, job.attempts) == (State.WAITING, 0)


def test_a_run_that_takes_too_long_is_ended(queue: JobQueue, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "run.before_archive:stop")
    monkeypatch.setitem(catalogue.QUEUES, RUNS, msgspec.structs.replace(QUEUES[RUNS], time_limit_s=3))
    start_run(queue, "run_a", SETTINGS)
    worker.step([RUNS])
    assert children() == []
    assert run_state(queue, "run_a").error == "its time was over"


def test_a_process_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    """Its stdin ends: also while it is at work."""
    command = [sys.executable, "-m", "agentrooms.jobs.run_process", str(tmp_path / "out"), str(tmp_path)]
    large = msgspec.json.encode(Plan(settings=preset("high_competition", 7)))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(large + b"\n")
    process.stdin.flush()
    assert process.stdout.readline(), "it has begun"
    process.stdin.close()
    process.stdout.read()
    process.stdout.close()
    assert process.wait() == ORPHANED
    assert list(tmp_path.iterdir()) == []
