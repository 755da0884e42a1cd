"""The Postgres server behind the stores of `stores.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from tests.events.stores import SCHEMAS


@pytest.fixture(scope="session")
def stores(postgres_dsn: str) -> Iterator[None]:
    """Makes the adapters in Postgres usable."""
    # Nothing here crashes the server, so commits need not wait for the disk.
    SCHEMAS.dsn = make_conninfo(postgres_dsn, options="-c synchronous_commit=off")
    yield
    SCHEMAS.close()
