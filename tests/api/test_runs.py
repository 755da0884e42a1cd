"""Runs over HTTP: started, made by a worker, read back to the byte, forked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrooms.api.home import Home
from agentrooms.events.record import decode_line
from agentrooms.jobs.catalogue import RUN, RUNS
from agentrooms.jobs.runs import Runs, run_folder
from agentrooms.jobs.worker import Worker
from agentrooms.sim.archive import EVENTS
from tests.api.system import running_home
from tests.api.trading import Person

pytestmark = pytest.mark.xdist_group("api-runs")  # one system for all of them

ASKED = {"buyers": 1, "sellers": 1, "seed": 7}
STARTS = 4


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("runs")
    with running_home(postgres_dsn, redis_url, path, requests_per_minute=100_000, spawns_per_hour=STARTS) as found:
        yield found


@pytest.fixture(scope="module")
def ada(home: Home) -> Person:
    return Person(home, "ada")


@pytest.fixture(scope="module")
def done(home: Home, ada: Person) -> dict[str, Any]:
    """A finished run."""
    made = ada.made("/runs", ASKED)["run"]
    assert (made["status"], made["userId"], made["settings"]["seed"]) == ("waiting", ada.user, 7)
    waiting = ada.get(f"/runs/{made['id']}/events")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "refused")
    assert ada.ask("POST", f"/runs/{made['id']}/fork", {"at": 5, "changes": ["x"]}).status_code == 409
    work(home)
    found: dict[str, Any] = ada.read(f"/runs/{made['id']}")["run"]
    return found


def work(home: Home) -> None:
    """Does the next run."""
    assert Worker(home.jobs, {RUN: Runs(home.folder.path).run}).step([RUNS])


def test_a_run_is_made_and_read_back_to_the_byte(home: Home, ada: Person, done: dict[str, Any]) -> None:
    assert (done["status"], done["error"], done["fork"]) == ("done", "", None)
    answer = ada.get(f"/runs/{done['id']}/events")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content == (run_folder(home.folder.path, done["id"]) / EVENTS).read_bytes()
    eve = Person(home, "eve")
    assert [run["id"] for run in eve.read("/runs")["runs"]] == [done["id"]]
    assert eve.read("/runs?mine=true")["runs"] == []


def test_a_fork_parts_from_its_run_where_it_says(home: Home, ada: Person, done: dict[str, Any]) -> None:
    lines = (run_folder(home.folder.path, done["id"]) / EVENTS).read_bytes().splitlines()
    spawned = [decode_line(line) for line in lines if b'"agent.spawned"' in line]
    at = len(lines[: lines.index(spawned[-1].line)]) + 1
    change = f"agent.{spawned[0].event.agent}.removed=true"  # type: ignore[attr-defined]
    made = ada.made(f"/runs/{done['id']}/fork", {"at": at, "changes": [change]})["run"]
    assert made["fork"] == {"of": done["id"], "at": at, "changes": [change]}
    work(home)
    found = ada.read(f"/runs/{made['id']}")["run"]
    assert (found["status"], found["error"]) == ("done", "")
    forked = ada.get(f"/runs/{made['id']}/events").content.splitlines()
    assert forked[:at] == lines[:at]
    assert forked != lines


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"preset": "small_test"},
        {"preset": "small_test", "seed": 1.5},
        {"preset": "small_test", "seed": "1"},
        {"preset": "small_test", "buyers": 1, "sellers": 1, "seed": 1},
        {"buyers": 251, "sellers": 1, "seed": 1},
        {"preset": "small_test", "seed": 1, "chain": "ark"},
    ],
)
def test_a_run_that_cannot_be_is_refused(ada: Person, asked: dict[str, Any]) -> None:
    assert ada.ask("POST", "/runs", asked).status_code == 422


@pytest.mark.parametrize("id_", ["run_nothing", "..", "..%2f..%2fsecret", "%2e%2e", "a" * 65, "RUN", "run.x", "run%00"])
def test_no_path_leads_out_of_the_folder_of_runs(ada: Person, id_: str) -> None:
    for path in (f"/runs/{id_}", f"/runs/{id_}/events"):
        assert ada.get(path).status_code in {404, 422}
    forked = ada.ask("POST", f"/runs/{id_}/fork", {"at": 1, "changes": ["agent.x.removed=true"]})
    assert forked.status_code in {404, 405, 422}


@pytest.mark.parametrize(
    "asked", [{"at": 0, "changes": ["x"]}, {"at": 1, "changes": []}, {"at": 1}, {"changes": ["x"]}]
)
def test_a_fork_that_cannot_be_is_refused(ada: Person, done: dict[str, Any], asked: dict[str, Any]) -> None:
    assert ada.ask("POST", f"/runs/{done['id']}/fork", asked).status_code == 422


def test_runs_are_for_whoever_is_signed_in_and_so_many_an_hour(home: Home, done: dict[str, Any]) -> None:
    nobody = Person(home, "nobody", signed_in=False)
    for path in ("/runs", f"/runs/{done['id']}", f"/runs/{done['id']}/events"):
        assert nobody.get(path).status_code == 401
    assert nobody.ask("POST", "/runs", ASKED).status_code == 401
    zoe = Person(home, "zoe")
    ids = [zoe.made("/runs", ASKED)["run"]["id"] for _ in range(STARTS)]
    assert len(set(ids)) == STARTS
    assert zoe.ask("POST", "/runs", ASKED).status_code == 429
    first = zoe.read("/runs?mine=true&limit=3")
    rest = zoe.read(f"/runs?mine=true&limit=3&cursor={first['nextCursor']}")
    assert [one["id"] for one in first["runs"] + rest["runs"]] == ids[::-1]
