"""Queues and accounts in schemas of their own, and a clock that tests move."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from agentrooms.accounts.contacts import Contacts
from agentrooms.accounts.notifications import Notifications
from agentrooms.accounts.schema import migrate_accounts, open_accounts
from agentrooms.events.postgres import Connections
from agentrooms.jobs.queue import JobQueue
from agentrooms.jobs.schema import migrate_jobs
from tests.jobs.clock import Clock
from tests.live_archive.system import System


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def all_jobs_schema(postgres_dsn: str) -> Iterator[str]:
    """The one schema of jobs that all tests use, one after the other."""
    name = f"test_{secrets.token_hex(6)}"
    migrate_jobs(postgres_dsn, name)
    yield name
    drop(postgres_dsn, name)


@pytest.fixture
def jobs_schema(postgres_dsn: str, all_jobs_schema: str) -> str:
    """A schema of jobs without any."""
    empty(postgres_dsn, all_jobs_schema, "jobs", "schedules", "log_cursor", "room_history", "agent_history")
    return all_jobs_schema


@pytest.fixture
def queue(postgres_dsn: str, jobs_schema: str, clock: Clock) -> Iterator[JobQueue]:
    """An empty queue; waits have no jitter."""
    queue = JobQueue(postgres_dsn, jobs_schema, clock, lambda: 0.0)
    yield queue
    queue.close()


@pytest.fixture(scope="session")
def all_accounts_schema(postgres_dsn: str) -> Iterator[str]:
    """The one schema of accounts that all tests use, one after the other."""
    name = f"test_{secrets.token_hex(6)}"
    migrate_accounts(postgres_dsn, name)
    yield name
    drop(postgres_dsn, name)


@pytest.fixture
def accounts(postgres_dsn: str, all_accounts_schema: str) -> Iterator[Connections]:
    """Connections to accounts of which nothing is known but that user_a and user_b have signed in."""
    empty(postgres_dsn, all_accounts_schema, "webhooks", "emails", "notifications", "sessions", "people")
    connections = open_accounts(postgres_dsn, all_accounts_schema)
    connections.repeat(lambda one: one.execute("INSERT INTO people VALUES ('user_a', 0), ('user_b', 0)"))
    yield connections
    connections.close()


@pytest.fixture
def contacts(accounts: Connections, clock: Clock) -> Contacts:
    return Contacts(accounts, clock)


@pytest.fixture
def notifications(accounts: Connections, clock: Clock) -> Notifications:
    return Notifications(accounts, clock)


def empty(dsn: str, schema: str, *tables: str) -> None:
    with psycopg.connect(dsn) as connection:
        for table in tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table)))


def drop(dsn: str, schema: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


@pytest.fixture(scope="session")
def system() -> System:
    """Two rooms that have traded; room A is closed."""
    return System().run()


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[str]:
    """The connection string of a database of its own, with schemas by their true names."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield postgres_dsn.replace("@/postgres?", f"@/{name}?")
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
