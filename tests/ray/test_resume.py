"""A run whose whole process was killed goes on where it was, and ends in the same bytes."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import StoreError
from agentrooms.sim.run_log import run_schema
from agentrooms.sim.settings import preset
from tests.cli.commands import AGENTROOMS, agentrooms, environment, uncovered
from tests.domain import runs

pytestmark = pytest.mark.xdist_group("ray")

SETTINGS = preset("small_test", 7)
FAILPOINT_EXIT = 86
TIMEOUT_S = 120
RUN = ("swarm", "run", "small_test", "--seed", "7", "--store", "postgres")


def events_of(folder: Path) -> bytes:
    return (folder / "events.ndjson").read_bytes()


EXPECTED = b"".join(line + b"\n" for line in runs.lines(SETTINGS))


def test_a_run_in_one_process_goes_on(postgres_dsn: str, tmp_path: Path) -> None:
    """It dies at a failpoint right after a commit, before anyone has the answer; twice."""
    env = environment(DATABASE_URL=postgres_dsn, AGENTROOMS_DATA=str(tmp_path / "data"))
    for passage in ("20", "15"):
        agentrooms(*RUN, env={**env, "AGENTROOMS_FAILPOINT": f"log.after_commit:exit:{passage}"}, code=FAILPOINT_EXIT)
    done = agentrooms(*RUN, "--out", tmp_path / "a", env=env)
    assert "it goes on there" in done.stderr
    assert events_of(tmp_path / "a") == EXPECTED


def test_a_run_on_ray_goes_on(postgres_dsn: str, tmp_path: Path) -> None:
    """The driver is killed, and its Ray with it, once the log has a third of the run."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {run_schema(SETTINGS)} CASCADE".encode())
    env = uncovered(DATABASE_URL=postgres_dsn, AGENTROOMS_DATA=str(tmp_path / "data"))
    command = [AGENTROOMS, *RUN, "--runtime", "ray"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        wait_for_events(postgres_dsn, len(runs.lines(SETTINGS)) // 3)
        assert driver.poll() is None
        driver.kill()
    done = agentrooms(*RUN, "--runtime", "ray", "--out", tmp_path / "a", env=env)
    assert "it goes on there" in done.stderr
    assert events_of(tmp_path / "a") == EXPECTED


def wait_for_events(dsn: str, events: int) -> None:
    """Returns once the run's log has so many events."""
    until = time.monotonic() + TIMEOUT_S
    with closing(PostgresLog(dsn, run_schema(SETTINGS))) as log:
        while True:
            try:
                if log.head() >= events:
                    return
            except StoreError:
                pass  # its schema is not there yet
            assert time.monotonic() < until, "the run does not begin"
            time.sleep(0.02)
