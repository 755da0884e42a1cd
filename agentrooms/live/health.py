"""What the processes of a running system say of themselves, kept in Postgres so that anyone may ask without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from agentrooms.events.postgres import Connections
from agentrooms.live.inbox import SCHEMA

SILENT_S = 15  # a process that has not answered for so long counts as gone

_SEEN = """
    INSERT INTO processes (name, seen_at, asked_at, starts, health)
    SELECT name, now(), now(), 1, health FROM unnest(%s::text[], %s::jsonb[]) AS answered (name, health)
    ON CONFLICT (name) DO UPDATE SET seen_at = now(), asked_at = now(), health = excluded.health,
        starts = processes.starts + (processes.health->>'pid' IS DISTINCT FROM excluded.health->>'pid')::int"""
_ASKED = "UPDATE processes SET asked_at = now() WHERE name = ANY(%s)"


class Process(msgspec.Struct, frozen=True):
    """One process: how long ago it answered (seconds), how often it was started, what it said."""

    name: str
    silent_s: float
    starts: int
    health: dict[str, Any]

    @property
    def alive(self) -> bool:
        """Whether it has answered lately."""
        return self.silent_s < SILENT_S


class Health:
    """The table of processes."""

    def __init__(self, dsn: str, schema: str = SCHEMA) -> None:
        self._connections = Connections(dsn, schema)

    def note(self, answers: Mapping[str, dict[str, Any] | None]) -> None:
        """Keeps what each process answered, None where it did not; forgets all others."""
        seen = {name: Jsonb(answer) for name, answer in sorted(answers.items()) if answer is not None}
        asked = sorted(answers)

        def work(connection: psycopg.Connection[tuple[object, ...]]) -> None:
            with connection.transaction():
                connection.execute(_SEEN, [list(seen), list(seen.values())])
                connection.execute(_ASKED, [asked])
                connection.execute("DELETE FROM processes WHERE NOT name = ANY(%s)", [asked])

        self._connections.repeat(work)

    def read(self) -> list[Process]:
        """Returns all processes by name."""

        def work(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[Any, ...]]:
            return connection.execute(
                "SELECT name, extract(epoch FROM now() - seen_at)::float8, starts, health FROM processes ORDER BY name"
            ).fetchall()

        return [Process(*row) for row in self._connections.repeat(work)]

    def close(self) -> None:
        """Closes its connections."""
        self._connections.close()
