"""A backup holds an installation as of one moment, and a restored one equals it."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import typer
from psycopg import sql

from agentrooms.chain.ledger import LEDGER
from agentrooms.chain.spec import ChainMode
from agentrooms.cli.backup import register
from agentrooms.errors import InvalidInput
from agentrooms.live.chain import Chosen
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


FILES = {"chain.json": msgspec.json.encode(Chosen(ChainMode.LEDGER, LEDGER)), "chain/blocks": bytes(3_000_000)}


def copy_files(folder: DataFolder, into: Path) -> None:
    """Copies the files that a system keeps beside its database."""
    assert folder.owner() is not None  # ours or a running system's, so that they are of one system
    for name in FILES:
        if (folder.path / name).exists():
            (into / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder.path / name, into / name)


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
            (folder.path / "chain").mkdir()
            for name, data in FILES.items():
                (folder.path / name).write_bytes(data)
        yield folder
    finally:
        server.stop()


@pytest.fixture(scope="module")
def file(installation: DataFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("backup") / "deep" / "agentrooms.backup"
    manifest = backup(installation, None, out, copy_files)
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
        assert {name: (new.path / name).read_bytes() for name in FILES} == FILES
    finally:
        old_server.stop()
        new_server.stop()


def test_a_running_system_is_backed_up_and_left_running(installation: DataFolder, tmp_path: Path) -> None:
    server = Postgres(installation.postgres)
    with installation.own("agentrooms up"):
        server.start()
        pid = server.pid
        assert backup(installation, None, tmp_path / "b", copy_files).head == EVENTS
        assert server.pid == pid
        server.stop()
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_files_are_copied_after_the_database(installation: DataFolder, tmp_path: Path) -> None:
    """What they tell may be ahead of the log that is restored beside them, never behind."""
    server = Postgres(installation.postgres)

    def copy(_folder: DataFolder, into: Path) -> None:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO unrelated.rows VALUES (1)")
            connection.execute("UPDATE read.rooms SET floor = 8")
        (into / "later").touch()

    backup(installation, None, tmp_path / "b", copy)
    new = DataFolder(tmp_path / "new")
    assert set(restore(tmp_path / "b", new, None).files) == {"later"}
    restored = Postgres(new.postgres)
    try:
        assert contents(restored.start())["read.rooms"] == [("ä", 7)]
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("UPDATE read.rooms SET floor = 7 RETURNING id").fetchall() == [("ä",)]
    finally:
        server.stop()
        restored.stop()


def test_databases_at_a_url_take_a_backup_once(file: Path, postgres_dsn: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    dsn = postgres_dsn.replace("/postgres?", "/restored?")
    try:
        restore(file, DataFolder(tmp_path / "new"), dsn)
        assert len(contents(dsn)["log.events"]) == EVENTS
        with pytest.raises(InvalidInput, match="has log, live, read already"):
            restore(file, DataFolder(tmp_path / "newer"), dsn)
        assert backup(DataFolder(tmp_path / "new"), dsn, tmp_path / "again", copy_files).head == EVENTS
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
        assert backup(DataFolder(tmp_path / "new"), older.dsn, tmp_path / "again", copy_files).head == EVENTS
    finally:
        as_older(older.stop)


def test_nothing_is_overwritten(installation: DataFolder, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match="exists"):
        backup(installation, None, file, copy_files)
    assert file.read_bytes() == before
    with pytest.raises(InvalidInput, match="holds a database"):
        restore(file, installation, None)
    other = DataFolder(file.parent / "other")
    with other.own("agentrooms up"):
        (other.path / "chain.json").write_bytes(b"mine")
    with pytest.raises(InvalidInput, match=r"other has chain\.json already"):
        restore(file, other, None)
    assert (other.path / "chain.json").read_bytes() == b"mine"
    assert not other.postgres.exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "flip beside", "other"])
def test_a_damaged_file_is_refused_and_leaves_no_database(file: Path, tmp_path: Path, damage: str) -> None:
    with tarfile.open(file) as tar:
        name = "files/chain/blocks" if damage == "flip beside" else "database.dump"
        place = tar.getmember(name).offset_data + 100
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[: place + 1]
    elif damage.startswith("flip"):
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
    assert not (folder.path / "chain.json").exists()


def rewritten(file: Path, to: Path, **changes: object) -> Path:
    """Writes a backup with another manifest."""
    with tarfile.open(file) as old, tarfile.open(to, "w") as new:
        for member in old.getmembers():
            found = old.extractfile(member)
            assert found is not None
            data = found.read()
            if member.name == "manifest.json":
                document = json.loads(data) | changes
                data = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return to


def test_a_backup_of_another_format_is_refused(file: Path, tmp_path: Path) -> None:
    older = rewritten(file, tmp_path / "older", format=1, files=None)
    with pytest.raises(BackupFailed, match="older has format 1; this program knows 2") as caught:
        restore(older, DataFolder(tmp_path / "new"), None)
    assert "version of the program that wrote it" in caught.value.hint


@pytest.mark.parametrize("name", ["../outside", "/outside", "chain/../../outside", "", "."])
def test_a_file_that_would_lie_outside_of_the_folder_is_refused(file: Path, tmp_path: Path, name: str) -> None:
    bad = rewritten(file, tmp_path / "bad", files={name: "00"})
    with pytest.raises(BackupFailed, match="lies outside"):
        restore(bad, DataFolder(tmp_path / "new"), None)


def test_an_empty_folder_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="holds no database"):
        backup(DataFolder(tmp_path / "none"), None, tmp_path / "b", copy_files)
    with pytest.raises(BackupFailed, match="there is no data folder"):
        backup(DataFolder(tmp_path / "none"), "postgresql://nowhere", tmp_path / "b", copy_files)
    assert list(tmp_path.iterdir()) == []


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
    restored = json.loads(capfd.readouterr().out)
    assert (restored["head"], list(restored["files"])) == (EVENTS, ["chain.json"])  # a ledger has nothing more
    assert DataFolder(tmp_path / "new").secret() == installation.secret()
