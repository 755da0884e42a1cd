"""One archive for all tests of the command line that only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import agentrooms


@pytest.fixture(scope="session")
def run_a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of small_test, seed 7."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    agentrooms("swarm", "run", "small_test", "--seed", "7", "--out", folder)
    return folder
