from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.live.inbox import Inbox, migrate_inbox
from tests.live.world import World


@pytest.fixture
def inbox(postgres_dsn: str, fresh_schema: str) -> Iterator[Inbox]:
    """An empty inbox."""
    migrate_inbox(postgres_dsn, fresh_schema)
    inbox = Inbox(postgres_dsn, fresh_schema)
    yield inbox
    inbox.close()


@pytest.fixture
def world(inbox: Inbox) -> World:
    """A living system with nothing in it."""
    return World(inbox)
