"""Two engines, one stage on each; the contracts that are hostile are compiled once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.chain.devnet.engine import Engine
from tests.contracts.stage import Stage
from tests.contracts.world import World, genesis
from tests.devnet.engines import make_engine


def started(name: str, ms_per_tick: int) -> Engine:
    """Returns an engine in memory; anvil is fetched where it is not there."""
    return make_engine(name, None, genesis(ms_per_tick))


@pytest.fixture(scope="session", params=["pyevm-ms", "anvil-seconds"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each engine with another unit of chain time; the tests of time cross them."""
    name, unit = request.param.split("-")
    engine = started(name, 1 if unit == "ms" else 1000)
    yield World(engine)
    engine.close()


@pytest.fixture(scope="session")
def stage(world: World) -> Stage:
    return Stage(world)


@pytest.fixture
def fresh(world: World) -> Stage:
    """An escrow of the test's own, which it may pause and rotate."""
    return Stage(world)
