"""Two engines, one stage on each; the contracts that are hostile are compiled once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.chain.devnet.anvil import Anvil
from agentrooms.chain.devnet.anvil_binary import find_anvil
from agentrooms.chain.devnet.engine import Engine, EngineUnusable
from agentrooms.chain.devnet.pyevm import PyEvm
from tests.contracts.stage import Stage
from tests.contracts.world import World, genesis


def started(name: str, ms_per_tick: int) -> Engine:
    """Returns an engine in memory; skips the test where anvil is not installed."""
    if name == "pyevm":
        return PyEvm(None, genesis(ms_per_tick))
    try:
        find_anvil()
    except EngineUnusable as error:
        pytest.skip(f"the second engine is not here: {error}")
    return Anvil(None, genesis(ms_per_tick))


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
