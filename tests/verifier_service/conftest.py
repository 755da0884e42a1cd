"""One stage for all tests here: its services take seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verifier_service.stage import Stage


@pytest.fixture(scope="session")
def one_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("api"))
    yield made
    made.close()


@pytest.fixture
def stage(one_stage: Stage) -> Stage:
    """The devnet and the services, all of them running."""
    one_stage.revive()
    return one_stage
