from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from agentrooms.accounts.schema import migrate_accounts, open_accounts
from agentrooms.events.postgres import Connections


@pytest.fixture
def accounts(postgres_dsn: str, fresh_schema: str) -> Iterator[Connections]:
    """An empty schema of accounts."""
    migrate_accounts(postgres_dsn, fresh_schema)
    with closing(open_accounts(postgres_dsn, fresh_schema)) as connections:
        yield connections
