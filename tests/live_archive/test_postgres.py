"""A room's archive from the log in Postgres is the one from the log in memory."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from agentrooms.events import store
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import EVERYTHING, Condition
from agentrooms.sim import live_archive
from agentrooms.sim.live_archive import export_room
from tests.live_archive.system import KEYS, SIGNER, B, System


def test_the_archive_is_the_same_to_the_byte(
    system: System,
    opened: Path,
    sealed: Path,
    postgres_dsn: str,
    fresh_schema: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when it is read in many pages."""
    migrate_log(postgres_dsn, fresh_schema)
    writer = LogWriter(postgres_dsn, fresh_schema)
    log, vault = PostgresLog(postgres_dsn, fresh_schema), PostgresVault(postgres_dsn, fresh_schema)
    try:
        writer.append([found.event for found in system.store.read()], Condition(EVERYTHING, 0))
        for line in system.vault.export().splitlines():
            entry = json.loads(line)
            vault.put(entry["key"], base64.b64decode(entry["secret"]))
        monkeypatch.setattr(live_archive, "PAGE", 7)
        monkeypatch.setattr(store, "TAGS_AT_ONCE", 2)
        for source, is_open in ((opened, True), (sealed, False)):
            out = tmp_path / source.name
            key = KEYS[B] if is_open else None
            export_room(log, vault, B, first=1, last=None, opened=is_open, key=SIGNER, room_key=key, out=out)
            assert {f.name: f.read_bytes() for f in out.iterdir()} == {f.name: f.read_bytes() for f in source.iterdir()}
    finally:
        for part in (vault, log, writer):
            part.close()
