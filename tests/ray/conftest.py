"""A Ray cluster of three nodes for a module; the tests of this folder run in one process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrooms.bench.swarms import start_cluster, stop_cluster
from tests.measuring import children_unmeasured

NODES = 2  # beside the head, which carries the services


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests of this folder together when several processes share the tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of this machine alone."""
    with children_unmeasured():
        started = start_cluster(NODES)
    try:
        yield
    finally:
        stop_cluster(started)
