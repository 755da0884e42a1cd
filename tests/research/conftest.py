"""A few archives, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrooms import Run
from agentrooms.sim.settings import preset
from tests.research import runs


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return archives of three different markets."""
    folder = tmp_path_factory.mktemp("archives")
    settings = [preset("small_test", 7), preset("high_competition", 3), runs.lively(5), runs.doomed(11)]
    return [runs.make(folder / str(number), chosen) for number, chosen in enumerate(settings)]


@pytest.fixture(params=range(4))
def run(request: pytest.FixtureRequest, archives: list[Path]) -> Run:
    """Return each archive in turn, opened anew."""
    return Run.open(archives[request.param])
