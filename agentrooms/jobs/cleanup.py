"""Clean-up: what is old leaves the read models, and what is over leaves the accounts. The log is never touched.

A room that closed long ago is archived first, from the log: a sealed archive like that of `agentrooms export`, which
`agentrooms verify` checks. Then its messages and its price path leave the tables; making the tables anew from the log
brings them back.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import SigningKey
from psycopg import sql

from agentrooms.accounts.schema import DAY_MS, now_ms
from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import connect
from agentrooms.events.store import EventStore
from agentrooms.events.vault import MemoryVault
from agentrooms.jobs.work import Interrupted, Work
from agentrooms.projections.check import PRUNED
from agentrooms.sim.archive import MANIFEST
from agentrooms.sim.folders import DRAFT
from agentrooms.sim.live_archive import export_room

ARCHIVED = "archived"  # folder in the data folder
OLD_DAYS = 30  # since a room closed
ROOMS_AT_ONCE = 1_000  # of one job; the next night goes on
UNCONFIRMED_DAYS = 7  # that an address waits for its code

_ROOM = re.compile(r"room_[a-z0-9]{1,40}")
_CLOSED = """
    SELECT room FROM rooms AS r WHERE status = 'inactive' AND updated_at_ms < %s
        AND (EXISTS (SELECT FROM messages AS m WHERE m.room = r.room) OR EXISTS (SELECT FROM floor_path AS f WHERE f.room = r.room))
    ORDER BY updated_at_ms, room LIMIT %s"""
_OVER = """
    SELECT table_name::text FROM information_schema.columns
    WHERE table_schema = current_schema() AND column_name = 'expires_at_ms' ORDER BY 1"""  # tables whose rows end


class NotArchived(AgentroomsError):
    """Rooms cannot be archived."""


def archived_rooms(data: Path) -> list[str]:
    """Returns the rooms of a data folder that have an archive."""
    return sorted(manifest.parent.name for manifest in (data / ARCHIVED).glob(f"room_*/{MANIFEST}"))


class Cleanup:
    """Does the nightly jobs of one installation."""

    def __init__(
        self,
        store: EventStore,
        dsn: str,
        *,
        read: str,
        accounts: str,
        data: Path,
        key: SigningKey,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`read` and `accounts` are schemas, `data` is the data folder, `key` signs archives."""
        self._store, self._dsn, self._read, self._accounts = store, dsn, read, accounts
        self._folder, self._key, self._clock_ms = data / ARCHIVED, key, clock_ms

    def archive(self, work: Work) -> dict[str, Any]:
        """Archives the deals, and all else, of rooms that closed OLD_DAYS ago; returns how many archives were made.

        Raises NotArchived at the end for rooms that cannot be; they hold up no other.
        """
        made, trouble = 0, []
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for draft in self._folder.glob(f"{DRAFT}*"):  # of one that was killed
            shutil.rmtree(draft, ignore_errors=True)
        for room in self._old_rooms(work):
            if not self.has_archive(room):
                try:
                    self._export(room)
                    made += 1
                except (AgentroomsError, OSError) as error:
                    trouble.append(f"{room}: {error}")
        if trouble:
            raise NotArchived(
                f"{len(trouble)} rooms cannot be archived, such as {trouble[0]} ({made} others were)",
                hint="they stay in the tables; mend what it says",
            )
        return {"rooms": made}

    def messages(self, work: Work) -> dict[str, Any]:
        """Takes what was said in archived rooms out of the tables; returns how many rows that was."""
        rows = 0
        for room in self._old_rooms(work):
            if self.has_archive(room):
                rows += self._prune(room, work)
        return {"rows": rows}

    def records(self, work: Work) -> dict[str, Any]:
        """Takes out of the accounts what is over, and addresses that nobody has confirmed; returns how many rows."""
        now, rows = self._clock_ms(), 0
        with connect(self._dsn, self._accounts, statement_timeout=str(work.left_ms)) as connection:
            for (table,) in msgspec.convert(connection.execute(_OVER).fetchall(), list[tuple[str]]):
                query = sql.SQL("DELETE FROM {} WHERE expires_at_ms <= %s").format(sql.Identifier(table))
                rows += connection.execute(query, [now]).rowcount
            rows += connection.execute(
                "DELETE FROM emails WHERE confirmed_at_ms IS NULL AND created_at_ms <= %s",
                [now - UNCONFIRMED_DAYS * DAY_MS],
            ).rowcount
        return {"rows": rows}

    def has_archive(self, room: str) -> bool:
        """Whether a room's archive stands, whole: its folder gets its name last."""
        return (self._folder / room / MANIFEST).is_file()

    def _old_rooms(self, work: Work) -> Iterator[str]:
        """Yields rooms while there is time; the next night goes on. Raises Interrupted."""
        with connect(self._dsn, self._read, statement_timeout=str(work.left_ms)) as connection:
            rows = connection.execute(_CLOSED, [self._clock_ms() - OLD_DAYS * DAY_MS, ROOMS_AT_ONCE]).fetchall()
        for (room,) in msgspec.convert(rows, list[tuple[str]]):
            if work.stop.is_set():
                raise Interrupted("the worker ends")
            if work.over:
                return
            if _ROOM.fullmatch(room) is not None:  # it becomes a folder's name
                yield room

    def _export(self, room: str) -> None:
        export_room(
            self._store,
            MemoryVault(),  # a sealed archive has no secrets
            room,
            first=1,
            last=None,
            opened=False,
            key=self._key,
            room_key=None,
            out=self._folder / room,
        )

    def _prune(self, room: str, work: Work) -> int:
        with (
            connect(self._dsn, self._read, statement_timeout=str(work.left_ms)) as connection,
            connection.transaction(),
        ):
            deletes = [sql.SQL("DELETE FROM {} WHERE room = %s").format(sql.Identifier(table)) for table in PRUNED]
            return sum(connection.execute(delete, [room]).rowcount for delete in deletes)
