"""A backup holds an installation as of one moment, and a restored one equals it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from psycopg import sql

from agentrooms.cli.backup import register
from agentrooms.errors import InvalidInput
from agentrooms.services import postgres
from agentrooms.services.backup import BackupFailed, backup, restore
from agentrooms.services.folder import DataFolder
from agentrooms.services.migrations import load, migrate
from agentrooms.services.postgres import Postgres

EVENTS = 500
TABLES = ("log.events", "log.log_head", "log.vault", "live.orders", "read.rooms", "log.schema_version")


def contents(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(dsn) as connection:
        query = sql.SQL("SELECT * FROM {} ORDER BY 1")
        return {
            table: connection.execute(query.format(sql.Identifier(*table.split(".")))).fetchall() for table in TABLES
        }


FILL = """
    INSERT INTO log.events
        SELECT n, 'RoomOpened', decode('00ff0a5c', 'hex') || n::text::bytea, ARRAY['room:ä', 'n:' || n]
        FROM generate_series(1, 500) n;
    UPDATE log.log_head SET position = 500, generation = 3, writer = 'w';
    INSERT INTO log.vault VALUES ('key', 'secret');
    CREATE SCHEMA live; CREATE TABLE live.orders (id text PRIMARY KEY, body jsonb);
    INSERT INTO live.orders VALUES ('a', '{"b": 1}');
    CREATE SCHEMA read; CREATE TABLE read.rooms (id text PRIMARY KEY, floor bigint);
    INSERT INTO read.rooms VALUES ('ä', 7);
    CREATE SCHEMA unrelated; CREATE TABLE unrelated.rows (id int);
"""


def fill(dsn: str) -> None:
    migrate(dsn, "log", load("agentrooms.events"))
    with psycopg.connect(dsn) as connection:
        connection.execute(FILL)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFolder]:
    """A data folder with a log, which no system runs on now."""
    folder = DataFolder(tmp_path_factory.mktemp("installation") / "data")
    server = Postgres(folder.postgres)
    try:
        with folder.own("agentrooms up"):
            fill(server.start())
            server.stop()
        yield folder
    finally:
        server.stop()


@pytest.fixture(scope="module")
def file(installation: DataFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("backup") / "deep" / "agentrooms.backup"
    manifest = backup(installation, None, out)
    assert (manifest.head, manifest.schemas) == (EVENTS, ("log", "live", "read"))
    return out


def test_a_restored_installation_equals_the_old_one(installation: DataFolder, file: Path, tmp_path: Path) -> None:
    assert Postgres(installation.postgres).pid is None  # the backup has stopped what it started
    new = DataFolder(tmp_path / "new")
    assert restore(file, new, None).head == EVENTS
    old_server, new_server = Postgres(installation.postgres), Postgres(new.postgres)
    assert new_server.pid is None
    try:
        assert contents(new_server.start()) == contents(old_server.start())
        with psycopg.connect(new_server.dsn) as connection:
            index = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'events_tags'").fetchone()
            assert index is not None
            assert connection.execute("SELECT to_regnamespace('unrelated')").fetchone() == (None,)
        assert migrate(new_server.dsn, "log", load("agentrooms.events")) == []
        assert new.secret() == installation.secret()
    finally:
        old_server.stop()
        new_server.stop()


def test_a_running_system_is_backed_up_and_left_running(installation: DataFolder, tmp_path: Path) -> None:
    server = Postgres(installation.postgres)
    with installation.own("agentrooms up"):
        server.start()
        pid = server.pid
        assert backup(installation, None, tmp_path / "b").head == EVENTS
        assert server.pid == pid
        server.stop()
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_databases_at_a_url_take_a_backup_once(file: Path, postgres_dsn: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    dsn = postgres_dsn.replace("/postgres?", "/restored?")
    try:
        restore(file, DataFolder(tmp_path / "new"), dsn)
        assert len(contents(dsn)["log.events"]) == EVENTS
        with pytest.raises(InvalidInput, match="has log, live, read already"):
            restore(file, DataFolder(tmp_path / "newer"), dsn)
        assert backup(DataFolder(tmp_path / "new"), dsn, tmp_path / "again").head == EVENTS
    finally:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("DROP DATABASE restored")


def test_an_older_server_takes_a_backup_too(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = Postgres(tmp_path / "older")

    def as_older(do: Callable[[], object]) -> None:
        with monkeypatch.context() as patch:  # the wheel brings this one as well; docker-compose.yml names it
            patch.setattr(postgres, "INSTALL", "pginstall")
            patch.setattr(postgres, "MAJOR", 16)
            do()

    as_older(older.start)
    try:
        with psycopg.connect(older.dsn) as connection:
            assert connection.info.server_version // 10_000 == 16
        assert restore(file, DataFolder(tmp_path / "new"), older.dsn).head == EVENTS
        assert backup(DataFolder(tmp_path / "new"), older.dsn, tmp_path / "again").head == EVENTS
    finally:
        as_older(older.stop)


def test_nothing_is_overwritten(installation: DataFolder, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match="exists"):
        backup(installation, None, file)
    assert file.read_bytes() == before
    with pytest.raises(InvalidInput, match="holds a database"):
        restore(file, installation, None)


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_file_is_refused_and_leaves_no_database(file: Path, tmp_path: Path, damage: str) -> None:
    with tarfile.open(file) as tar:
        place = tar.getmember("database.dump").offset_data + 100
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[: place + 1]
    elif damage == "flip":
        data[place] ^= 1
    else:
        data = bytearray(b"not a backup")
    bad = tmp_path / "bad"
    bad.write_bytes(data)
    folder = DataFolder(tmp_path / "new")
    with pytest.raises(BackupFailed, match="bad is"):
        restore(bad, folder, None)
    assert not folder.postgres.exists()
    assert not (folder.path / "secret").exists()


def test_an_empty_folder_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="holds no database"):
        backup(DataFolder(tmp_path / "none"), None, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_the_commands_write_and_fill(
    installation: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # no `.env` of the checkout takes part
    monkeypatch.setenv("AGENTROOMS_DATA", str(installation.path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    app = typer.Typer()
    register(app)
    run = typer.main.get_command(app)
    run.main(["backup", "--out", "saved"], standalone_mode=False)
    assert "position 500" in capfd.readouterr().err
    run.main(["restore", "saved", "--data", "new", "--json"], standalone_mode=False)
    assert json.loads(capfd.readouterr().out)["head"] == EVENTS
    assert DataFolder(tmp_path / "new").secret() == installation.secret()
