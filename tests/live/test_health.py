"""What is kept of the processes of a system: the last answer of each that is asked, and how often it was started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.live.health import Health
from agentrooms.live.inbox import migrate_inbox


@pytest.fixture
def health(postgres_dsn: str, fresh_schema: str) -> Iterator[Health]:
    migrate_inbox(postgres_dsn, fresh_schema)
    health = Health(postgres_dsn, fresh_schema)
    yield health
    health.close()


def kept(health: Health) -> dict[str, tuple[int, int]]:
    return {process.name: (process.starts, process.health["pid"]) for process in health.read()}


def test_the_last_answer_of_each_is_kept_and_starts_are_counted(health: Health) -> None:
    """Whoever is silent keeps what it said last; who never said anything is not listed."""
    health.note({"desk": {"pid": 1}, "log": {"pid": 2}, "new": None})
    assert kept(health) == {"desk": (1, 1), "log": (1, 2)}
    health.note({"desk": {"pid": 1}, "log": {"pid": 3}, "new": {"pid": 4}})
    health.note({"desk": None, "log": {"pid": 3}, "new": {"pid": 5}})
    assert kept(health) == {"desk": (1, 1), "log": (2, 3), "new": (2, 5)}
    assert all(process.alive for process in health.read())


def test_who_is_not_asked_any_more_is_forgotten(health: Health) -> None:
    health.note({"desk": {"pid": 1}, "room:a": {"pid": 2}})
    health.note({"desk": {"pid": 1}})
    assert kept(health) == {"desk": (1, 1)}
    health.note({})
    assert health.read() == []
