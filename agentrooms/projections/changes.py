"""What a batch of events changes: rows to add, and the newest version of each row to write."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict, replace

from agentrooms.projections.read_rows import ReadTable

Row = msgspec.Struct


class Changes:
    """Rows by table. A row that changes a thousand times in a batch is written once."""

    def __init__(self) -> None:
        self.added: dict[str, list[Row]] = {}
        self.written: dict[str, dict[str, Row]] = {}

    def append(self, table: ReadTable, row: Row) -> None:
        """Adds a row that never changes."""
        rows = self.added.get(table.name)
        if rows is None:
            rows = self.added[table.name] = []
        rows.append(row)

    def put(self, table: ReadTable, key: str, row: Row) -> None:
        """Writes a row in place of the one with its key."""
        self.written.setdefault(table.name, {})[key] = row

    def merge(self, table: ReadTable, key: str, row: Row) -> None:
        """Writes what the row says; what it leaves out (None) stays as it was."""
        rows = self.written.setdefault(table.name, {})
        before = rows.get(key)
        said = {name: value for name, value in asdict(row).items() if value is not None}
        rows[key] = row if before is None else replace(before, **said)
