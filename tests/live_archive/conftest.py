"""One living system a session, and the archives of its rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live_archive.system import A, B, Model, System


@pytest.fixture(scope="session")
def system() -> System:
    """Two rooms that have traded, worded by scripts."""
    return System().run()


@pytest.fixture(scope="session")
def worded() -> System:
    """The same, worded by a model that fails at times."""
    return System(Model()).run()


@pytest.fixture(scope="session")
def sealed(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Room B without secrets."""
    return system.export(B, tmp_path_factory.mktemp("archives") / "sealed")


@pytest.fixture(scope="session")
def opened(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Room B with its limits."""
    return system.export(B, tmp_path_factory.mktemp("archives") / "opened", opened=True)


@pytest.fixture(scope="session")
def opened_a(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Room A, which is closed, with its limits."""
    return system.export(A, tmp_path_factory.mktemp("archives") / "opened-a", opened=True)


@pytest.fixture(scope="session")
def partial(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Room B from its middle to its end."""
    return system.export(B, tmp_path_factory.mktemp("archives") / "partial", first=60)
