"""The archives of tests/audit, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit import archives


@pytest.fixture(scope="session")
def archives_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="session")
def small(archives_folder: Path) -> Path:
    """The smallest run: two buyers, three sellers, at least one completed deal."""
    return archives.make(archives_folder / "small", archives.settings_by_name()["small_test-7"])


@pytest.fixture(scope="session")
def faulty(archives_folder: Path) -> Path:
    """A run with failed and completed deals."""
    return archives.make(archives_folder / "faulty", archives.faulty_settings())


@pytest.fixture(scope="session")
def forked(archives_folder: Path) -> Path:
    """A fork, with reconfigured and removed agents."""
    source = archives.make(archives_folder / "source", archives.settings_by_name()["buyers_market-4"])
    return archives.make_fork(source, archives_folder / "forked")
