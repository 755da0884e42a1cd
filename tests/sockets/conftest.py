"""One log for all tests of sockets; each test has rooms of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from tests.sockets.stage import Client, Process, Room, serving


@pytest.fixture(scope="module")
def store(postgres_dsn: str, request: pytest.FixtureRequest) -> Iterator[PostgresLog]:
    schema = "sockets_" + request.module.__name__.rsplit(".", 1)[-1]
    migrate_log(postgres_dsn, schema)
    with closing(PostgresLog(postgres_dsn, schema)) as log:
        yield log


@pytest.fixture(scope="module")
def process(store: PostgresLog, redis_url: str) -> Iterator[Process]:
    with serving(store, redis_url) as process:
        yield process


@pytest.fixture
def room(store: PostgresLog, redis_url: str) -> Room:
    return Room(store, redis_url)


@pytest.fixture
def visit(process: Process) -> Iterator[Callable[..., Client]]:
    """Makes clients that are closed in the end."""
    clients: list[Client] = []

    def make(token: str | None = None, **options: object) -> Client:
        client = Client(process, token, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
