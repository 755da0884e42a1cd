"""How property tests draw their examples, and how a failing one says what replays it; the servers that tests share."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from _pytest.nodeid import NodeId
from hypothesis import HealthCheck, settings
from psycopg import sql

from agentrooms.services.postgres import Postgres
from agentrooms.services.redis import Redis
from tests.measuring import children_unmeasured

for _name in ("COLUMNS", "LINES"):  # given to processes that share the tests; what commands print depends on it
    os.environ.pop(_name, None)
os.environ["API_PORT"] = "0"  # systems of several tests run side by side
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would each compile all modules again

# Folders and modules that run whole systems again and again, over lines that quicker tests measure; or that spend their
# time in an EVM. Measuring lines makes all that takes Python three times as long.
UNMEASURED = (
    "tests/acceptance/",
    "tests/actors/test_rebuild.py",
    "tests/actors/test_runs.py",
    "tests/api/test_schema.py",
    "tests/audit/test_bytes.py",
    "tests/audit/test_intact.py",
    "tests/audit/test_rewritten.py",
    "tests/audit/test_tampering.py",
    "tests/chaos/test_writers.py",
    "tests/contracts/",
    "tests/devnet/test_engine.py",
    "tests/devnet/test_server.py",
    "tests/events/test_concurrency.py",
    "tests/events/test_guards_bite.py",
    "tests/evm/test_conformance.py",
    "tests/evm/test_mainsail.py",
    "tests/evm/test_restored.py",
    "tests/live/test_crash.py",
    "tests/live_archive/test_reexecution.py",
    "tests/live_archive/test_tampering.py",
    "tests/projections/test_rebuild.py",
    "tests/sim/test_influence.py",
    "tests/sim/test_words_move_nothing.py",
    "tests/strategies/test_any_situation.py",
    "tests/strategies/test_self_play.py",
)

PROFILE_VARIABLE = "AGENTROOMS_HYPOTHESIS"  # default, or long for campaigns
PROFILE = os.environ.get(PROFILE_VARIABLE, "default")

# The machine is shared and examples are whole histories: slow is not wrong. No example has a deadline.
_COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _COMMON, max_examples=40, stateful_step_count=30)
settings.register_profile("long", _COMMON, max_examples=2_000, stateful_step_count=60)
settings.load_profile(PROFILE)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Gives every session a seed of its own, known from the start, so that a failure can name it."""
    if config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keeps the tests of a file in one process, so that what they share is made once; groups of files say so."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}.{item.path.stem}"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets xdist see the groups it has made: it writes them where pytest, from 9.2 on, does not look any more."""
    for item in items:
        grouped = vars(item).get("_nodeid")
        if grouped is not None and grouped != item.nodeid:
            item._id = NodeId.parse(grouped)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Runs a test with all its fixtures, and the processes they start, without measuring lines if it is among those."""
    coverage = item.config.pluginmanager.getplugin("_cov")
    if coverage is None or not item.nodeid.startswith(UNMEASURED):
        return (yield)
    with unmeasured(coverage.cov_controller):
        return (yield)


@contextmanager
def unmeasured(controller: Any) -> Iterator[None]:
    """Stops measuring lines within the block, here and in processes that are started there."""
    controller.pause()
    try:
        with children_unmeasured():
            yield
    finally:
        controller.resume()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the one command that replays a failing property test."""
    report = yield
    if report.failed and item.get_closest_marker("hypothesis") is not None:
        report.sections.append(("Replay", replay_command(item)))
    return report


def replay_command(item: pytest.Item) -> str:
    """Returns the command line that draws the same examples again."""
    profile = "" if PROFILE == "default" else f"{PROFILE_VARIABLE}={PROFILE} "
    seed = item.config.getoption("hypothesis_seed")
    grouped = item.get_closest_marker("xdist_group")
    test = item.nodeid if grouped is None else item.nodeid.removesuffix(f"@{grouped.args[0]}")
    return f"{profile}python3 run.py test {shlex.quote(test)} --hypothesis-seed={seed}"


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres server of this test process alone."""
    server = Postgres(tmp_path_factory.mktemp("services") / "postgres")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def fresh_schema(postgres_dsn: str) -> Iterator[str]:
    """The name of a schema that does not exist yet; dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of this test process alone."""
    server = Redis(tmp_path_factory.mktemp("services") / "redis")
    try:
        yield server.start()
    finally:
        server.stop()
