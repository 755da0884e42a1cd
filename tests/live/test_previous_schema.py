"""A data folder that the previous schema wrote opens, with all that is in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.store import Condition, QueryItem, StoredEvent
from agentrooms.live.commands import OpenRoom, encode
from agentrooms.live.health import Health
from agentrooms.live.inbox import Inbox, migrate_inbox
from agentrooms.projections.projector import MIGRATIONS as READ_MIGRATIONS
from agentrooms.services.migrations import load, migrate

COMMAND = OpenRoom(id="c1", name="Evening market")


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[str]:
    """A database of its own, as an installation has."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield psycopg.conninfo.make_conninfo(postgres_dsn, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_what_the_previous_schema_holds_is_there_after_the_migrations(database: str) -> None:
    """The inbox without its table of processes, read models without views, a log: each as the version before wrote it."""
    inbox_migrations = load("agentrooms.live")
    assert migrate(database, "live", inbox_migrations[:-1]) == [m.number for m in inbox_migrations[:-1]]
    assert migrate(database, "read", READ_MIGRATIONS[:-1]) == [m.number for m in READ_MIGRATIONS[:-1]]
    migrate_log(database, "log")
    with closing(LogWriter(database, "log")) as writer:
        never = Condition((QueryItem(tags=("nothing has this tag",)),), 0)
        assert writer.append([StoredEvent("room.opened", b"{}", ("room:r",))], never) == 1
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO live.commands (id, body, body_sha256) VALUES (%s, %s, 'x')", [COMMAND.id, encode(COMMAND)]
        )

    assert migrate_inbox(database) == [inbox_migrations[-1].number]
    assert migrate(database, "read", READ_MIGRATIONS) == [READ_MIGRATIONS[-1].number]
    assert migrate_log(database, "log") == []

    with (
        closing(Inbox(database)) as inbox,
        closing(Health(database)) as health,
        closing(LogWriter(database, "log")) as log,
    ):
        assert [sent.id for sent in inbox.open()] == [COMMAND.id]
        assert health.read() == []
        assert log.head() == 1
