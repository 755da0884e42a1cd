"""A Ray cluster of three nodes for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.bench.swarms import start_cluster, stop_cluster
from tests.measuring import children_unmeasured

NODES = 2  # beside the head, which carries the services


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of this machine alone."""
    with children_unmeasured():
        started = start_cluster(NODES)
    try:
        yield
    finally:
        stop_cluster(started)
