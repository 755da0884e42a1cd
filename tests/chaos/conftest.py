"""What tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.live.inbox import Inbox, migrate_inbox


@pytest.fixture
def inbox(postgres_dsn: str, fresh_schema: str) -> Iterator[Inbox]:
    """An empty inbox."""
    migrate_inbox(postgres_dsn, fresh_schema)
    made = Inbox(postgres_dsn, fresh_schema)
    yield made
    made.close()
