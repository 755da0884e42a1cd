"""A clock that moves when it is told to, and a look into the tables."""

from __future__ import annotations

from psycopg import sql

from agentrooms.events.postgres import Connections

START_MS = 1_700_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms


def rows(accounts: Connections, table: str) -> list[tuple[object, ...]]:
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))
    return accounts.repeat(lambda connection: connection.execute(query).fetchall())


def count(accounts: Connections, table: str) -> int:
    return len(rows(accounts, table))


def dump(accounts: Connections, table: str) -> bytes:
    """All bytes that a table holds, numbers and texts as they are read."""
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows(accounts, table) for value in row
    )


def wallet(number: int) -> str:
    return f"0x{number:040x}"
