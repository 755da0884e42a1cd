"""`agentrooms jobs`: what there is, what became of it, and another try for what is dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrooms.jobs.catalogue import NOTIFY, ROOM_STATS, RUNS
from agentrooms.jobs.queue import JobQueue, NewJob, State
from agentrooms.jobs.runs import start_run
from agentrooms.jobs.schema import migrate_jobs
from agentrooms.projections.projector import Projector
from agentrooms.sim.settings import preset
from tests.cli.commands import agentrooms, document, said
from tests.live_archive.system import B, System


@pytest.fixture
def jobs(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[JobQueue]:
    """The queue that the commands look at: a run under way, a notification that waits, two dead ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    migrate_jobs(database)
    queue = JobQueue(database)
    for n in range(2):
        queue.put(NewJob(f"stats{n}", ROOM_STATS))
        job = queue.take(["analytics"])
        assert job is not None
        queue.failed(job, "the database\x1b[31m was away")
    start_run(queue, "run_a", preset("small_test", 7))
    running = queue.take([RUNS])
    assert running is not None
    queue.progress(running, {"round": 12})
    queue.put(NewJob("n1", NOTIFY, {"user": "user_a"}))
    yield queue
    queue.close()


def test_jobs_are_listed_with_their_states(jobs: JobQueue) -> None:
    out, _told = said("jobs", "list")
    for text in ("simulate_run:run_a", "running, attempt 1 of 2", "round 12", "n1", "waiting", "dead, attempt 1 of 1"):
        assert text in out
    assert "\x1b" not in out
    listed = document("jobs", "list", "--json")
    assert [job["id"] for job in listed["jobs"]] == ["n1", "simulate_run:run_a", "stats1", "stats0"]
    assert listed["counts"]["analytics"] == {"waiting": 0, "running": 0, "done": 0, "dead": 2}
    only = document("jobs", "list", "--queue", "analytics", "--state", "dead", "--limit", "1", "--json")
    assert [job["id"] for job in only["jobs"]] == ["stats1"]


def test_live_deals_are_shown_as_the_log_has_them(jobs: JobQueue, system: System, database: str) -> None:
    """Settlement does them from the log; no row of a queue says so."""
    log = system.store.read()
    certified = next(
        n for n, one in enumerate(log) if one.event.type == "deal.certified" and f"room:{B}" in one.event.tags
    )
    locked = next(n for n, one in enumerate(log) if one.event.type == "deal.locked")
    for end in (locked + 1, certified + 1):
        projector = Projector(_Until(system, end), database)  # type: ignore[arg-type]
        while projector.step():
            pass
        projector.close()
        deals = document("jobs", "list", "--json")["deals"]
        assert deals
        assert {deal["queue"] for deal in deals} <= {"deal-verification", "execution"}
        assert {deal["state"] for deal in deals} <= {"locked", "verifying", "executing"}
    asked = document("jobs", "list", "--queue", "execution", "--json")
    assert [deal for deal in deals if deal["state"] == "executing"] == asked["deals"]
    assert asked["jobs"] == []


class _Until:
    """A log as it was after its first events."""

    def __init__(self, system: System, end: int) -> None:
        self._events = system.store.read()[:end]

    def read(self, query: object = (), *, after: int = 0, limit: int | None = None) -> object:
        """Returns events of any kind."""
        return [one for one in self._events if one.position > after][:limit]

    def head(self) -> int:
        """Returns the last position."""
        return self._events[-1].position


def test_a_job_is_shown(jobs: JobQueue) -> None:
    out, _told = said("jobs", "show", "stats0")
    assert "dead, attempt 1 of 1" in out
    assert "was away" in out
    assert "\x1b" not in out
    assert document("jobs", "show", "n1", "--json")["payload"] == {"user": "user_a"}


def test_dead_jobs_get_another_try(jobs: JobQueue) -> None:
    assert "1 job begun anew." in said("jobs", "retry", "stats0")[0]
    assert jobs.get("stats0").state is State.WAITING
    assert document("jobs", "retry", "--dead", "--json") == {"retried": 1}
    assert jobs.get("stats1").state is State.WAITING


@pytest.mark.parametrize(
    ("line", "error"), [("show nothing", "there is no job 'nothing'"), ("retry n1", "job n1 is waiting, not dead")]
)
def test_what_cannot_be_done_is_one_line(jobs: JobQueue, line: str, error: str) -> None:
    done = agentrooms("jobs", *line.split(), code=1)
    assert f"error: {error}" in done.stderr
    assert "Traceback" not in done.stderr
