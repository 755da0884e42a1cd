"""Both engines for tests: import `engine` into a module or a conftest, and its tests run on each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from agentrooms.chain.devnet.anvil import Anvil
from agentrooms.chain.devnet.anvil_binary import fetch_anvil, find_anvil
from agentrooms.chain.devnet.engine import Engine, EngineUnusable, Genesis
from agentrooms.chain.devnet.pyevm import PyEvm

ENGINES = ["pyevm", "anvil"]


@lru_cache(maxsize=1)
def anvil_binary() -> Path | str:
    """Returns anvil, found or fetched once, or why there is none."""
    try:
        return find_anvil()
    except EngineUnusable:
        try:
            return fetch_anvil()
        except EngineUnusable as error:
            return f"no anvil: {error}"


def make_engine(kind: str, path: Path | None = None, genesis: Genesis | None = None) -> Engine:
    """Opens an engine; skips the test when it is anvil and there is none."""
    if kind == "pyevm":
        return PyEvm(path, genesis)
    binary = anvil_binary()
    if isinstance(binary, str):
        pytest.skip(binary)
    return Anvil(path, genesis, binary=binary)


@pytest.fixture(params=ENGINES)
def engine_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(engine_kind: str) -> Iterator[Engine]:
    """A new chain in memory."""
    made = make_engine(engine_kind)
    yield made
    made.close()
