"""Connections to Postgres for many threads: who waits for one, and how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from agentrooms.events.postgres import CONNECTIONS_MAX, Connection, Connections
from agentrooms.events.store import StoreError

NOWHERE = "postgresql://127.0.0.1:1/nothing"  # where nobody listens


@pytest.fixture
def hurried(postgres_dsn: str) -> Iterator[Connections]:
    with closing(Connections(postgres_dsn, "public", 0.05)) as connections:
        yield connections


def test_who_has_no_patience_is_told_that_all_connections_are_in_use(hurried: Connections) -> None:
    """And has one again when they are given back."""
    lent, done = threading.Barrier(CONNECTIONS_MAX + 1), threading.Event()

    def hold(_connection: Connection) -> None:
        lent.wait()
        done.wait()

    with ThreadPoolExecutor(CONNECTIONS_MAX) as holders:
        held = [holders.submit(hurried.repeat, hold) for _ in range(CONNECTIONS_MAX)]
        lent.wait()
        try:
            with pytest.raises(StoreError, match="in use"):
                hurried.repeat(lambda connection: connection.execute("SELECT 1"))
        finally:
            done.set()
        for one in held:
            one.result()
    assert hurried.repeat(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)


def test_who_has_no_patience_does_not_wait_for_a_server_that_is_away() -> None:
    """And its place is free again."""
    with closing(Connections(NOWHERE, "public", 0.05)) as connections:
        for _ in range(CONNECTIONS_MAX + 1):
            with pytest.raises(StoreError, match="cannot be reached"):
                connections.repeat(lambda connection: connection.execute("SELECT 1"))
