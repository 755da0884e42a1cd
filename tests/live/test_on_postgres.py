"""The desk on the log and the vault that it has in a living system."""

from __future__ import annotations

import secrets

import psycopg
import pytest
from psycopg import sql

from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.live.inbox import Inbox
from tests.live.test_crash import a_room_with_agents, a_swarm_of_its_own, forget
from tests.live.world import World


def test_a_desk_on_postgres_comes_to_the_same_log(
    inbox: Inbox, postgres_dsn: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the one in memory, where both draw the same keys; and made anew, it finds what it left."""
    monkeypatch.setattr(secrets, "token_bytes", lambda count: b"\1" * count)
    monkeypatch.setattr(secrets, "token_hex", lambda count: "01" * count)
    memory = World(inbox)
    expected = [a_room_with_agents(memory), a_swarm_of_its_own(memory)]
    forget(postgres_dsn, fresh_schema)
    schema = f"{fresh_schema}_log"
    migrate_log(postgres_dsn, schema)
    writer, vault = LogWriter(postgres_dsn, schema), PostgresVault(postgres_dsn, schema)
    try:
        world = World(inbox, store=writer, vault=vault)
        assert [a_room_with_agents(world), a_swarm_of_its_own(world)] == expected
        assert world.lines() == memory.lines()
        assert vault.export() == memory.vault.export()
        world.restart()
        world.step()
        assert world.lines() == memory.lines()
    finally:
        writer.close()
        vault.close()
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
