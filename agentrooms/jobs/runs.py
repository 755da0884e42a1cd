"""Simulated runs and forks as jobs: each in a process of its own, with a time limit, into `<data folder>/runs/<id>`.

A run is reproducible: when its process or its worker dies, it is simply run again. Its folder gets its name when all
of it is written.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.jobs.catalogue import RUN, RUNS
from agentrooms.jobs.queue import Job, JobQueue, NewJob, NoSuchJob, State
from agentrooms.jobs.run_process import Fork, Plan, Told
from agentrooms.jobs.work import Hopeless, Interrupted, Work
from agentrooms.services.processes import last_lines
from agentrooms.sim.archive import MANIFEST
from agentrooms.sim.folders import DRAFT
from agentrooms.sim.settings import RunSettings, check

FOLDER = "runs"  # in the data folder
ARCHIVES_MAX = 1_000  # of runs that stay there, the newest
PROGRESS_S = 1.0  # between two notes of how far a run is
LOOK_S = 0.2  # between two looks whether the worker ends
LINE_BYTES_MAX = 65_536  # of what a process tells at once
CHANGES_MAX = 100  # of one fork
CHANGE_CHARACTERS_MAX = 200

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class RunFailed(AgentroomsError):
    """A run's process ended without its archive."""


class RunState(msgspec.Struct, frozen=True):
    """A run as it stands. `progress` counts round, agents, deals and events; `result` is of the archive's manifest.

    `settings` are those of a run that is no fork; `fork` says what it is one of.
    """

    id: str
    user: str | None
    state: State
    settings: RunSettings | None
    fork: Fork | None
    progress: dict[str, Any]
    result: dict[str, Any]
    error: str
    created_at_ms: int
    ended_at_ms: int | None
    number: int


def run_folder(data: Path, id: str) -> Path:
    """Returns the folder of a run's archive. Raises InvalidInput for what is no run's id."""
    if _ID.fullmatch(id) is None:
        raise InvalidInput(f"{id[:64]!a} is not the id of a run", hint="a-z, 0-9, _ and -, at most 64 of them")
    return data / FOLDER / id


def start_run(queue: JobQueue, id: str, settings: RunSettings, user: str | None = None) -> str:
    """Has a run made; returns its id. The same id again is the same run. Raises InvalidInput, QueueFull."""
    check(settings)
    return _put(queue, id, Plan(settings=settings), user)


def fork_run(queue: JobQueue, id: str, data: Path, fork: Fork, user: str | None = None) -> str:
    """Has a fork made of a run whose archive stands; returns its id, as `start_run` does.

    Raises InvalidInput for a run that is not there or changes that are none, QueueFull. What is wrong with a change
    as such turns up in the run's state.
    """
    if not (run_folder(data, fork.of) / MANIFEST).is_file():
        raise InvalidInput(f"there is no finished run {fork.of}", hint="wait until it is done")
    if not 1 <= len(fork.changes) <= CHANGES_MAX or max(map(len, fork.changes)) > CHANGE_CHARACTERS_MAX:
        raise InvalidInput(f"a fork has 1 to {CHANGES_MAX} changes", hint="such as agent.ID.strategy=patient")
    return _put(queue, id, Plan(fork=fork), user)


def run_state(queue: JobQueue, id: str) -> RunState:
    """Returns a run as it stands. Raises NoSuchJob."""
    return _state(queue.get(f"{RUN}:{id}"))


def run_states(
    queue: JobQueue, *, user: str | None = None, before: int | None = None, limit: int = 50
) -> list[RunState]:
    """Returns runs, the newest first, before the `number` of one. Raises InvalidInput for a wrong `limit`."""
    return [_state(job) for job in queue.jobs(queue=RUNS, user=user, before=before, limit=limit)]


def _make_room(folder: Path) -> None:
    """Removes the oldest archives of more than ARCHIVES_MAX."""
    manifests = sorted(folder.glob(f"*/{MANIFEST}"), key=lambda manifest: manifest.stat().st_mtime)
    for manifest in manifests[:-ARCHIVES_MAX]:
        shutil.rmtree(manifest.parent, ignore_errors=True)


class Runs:
    """Does the jobs of the queue `runs` in a data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def run(self, work: Work) -> dict[str, Any]:
        """Makes a run's archive, unless it stands; returns what its manifest says. Raises RunFailed, Hopeless."""
        plan = msgspec.convert(work.job.payload["plan"], Plan)
        out = run_folder(self._data, work.job.payload["run"])
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in out.parent.glob(f"{DRAFT}*"):  # of one that was killed; the queue has one thread
            shutil.rmtree(draft, ignore_errors=True)
        with tempfile.TemporaryFile() as errors, self._process(out, errors) as process:
            told = self._follow(process, plan, work)
            process.wait()
            errors.seek(0)
            said = last_lines(errors.read().decode(errors="replace"))
        if told.error:
            raise Hopeless(told.error, hint=told.hint)
        if not told.result:
            raise RunFailed(f"the run's process ended with {process.returncode}: {said}")
        _make_room(out.parent)
        return told.result

    @contextmanager
    def _process(self, out: Path, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
        """Gives the process; it ends with the block, and with whatever it has started."""
        process = subprocess.Popen(  # noqa: S603 -- our own program
            [sys.executable, "-m", "agentrooms.jobs.run_process", str(out), str(self._data / FOLDER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(OSError):
                    pipe.close()

    def _follow(self, process: subprocess.Popen[bytes], plan: Plan, work: Work) -> Told:
        """Returns the last that a process tells. Raises Interrupted, RunFailed when its time is over."""
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(plan) + b"\n")
            process.stdin.flush()
        last, noted_s = Told(), 0.0
        progress: dict[str, int] = {}
        for line in self._lines(process, work):
            last = msgspec.json.decode(line, type=Told)
            progress = last.progress or progress
            if time.monotonic() - noted_s >= PROGRESS_S or not last.progress:
                noted_s = time.monotonic()
                if not work.queue.progress(work.job, progress):
                    raise RunFailed("another worker has this run")
        return last

    @staticmethod
    def _lines(process: subprocess.Popen[bytes], work: Work) -> Iterator[bytes]:
        """Yields the lines of a process until its output ends. Raises Interrupted, RunFailed."""
        assert process.stdout is not None
        held = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if work.stop.is_set():
                    raise Interrupted("the worker ends")
                if work.over:
                    raise RunFailed("its time was over")
                if not selector.select(min(LOOK_S, work.left_s)):
                    continue
                read = os.read(process.stdout.fileno(), LINE_BYTES_MAX)
                if not read:
                    return
                *lines, held = (held + read).split(b"\n")
                yield from lines


def _put(queue: JobQueue, id: str, plan: Plan, user: str | None) -> str:
    run_folder(Path(), id)
    queue.put(NewJob(f"{RUN}:{id}", RUN, {"run": id, "plan": msgspec.to_builtins(plan)}, user))
    return id


def _state(job: Job) -> RunState:
    if job.kind != RUN:
        raise NoSuchJob(f"job {job.id} is no run")
    plan = msgspec.convert(job.payload["plan"], Plan)
    return RunState(
        id=job.payload["run"],
        user=job.user,
        state=job.state,
        settings=plan.settings,
        fork=plan.fork,
        progress=job.progress,
        result=job.result,
        error=job.error,
        created_at_ms=job.made_at_ms,
        ended_at_ms=job.ended_at_ms,
        number=job.number,
    )
