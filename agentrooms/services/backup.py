"""One file that holds an installation: its databases as of one moment, and its secret.

The file is a tar of a manifest, the secret, and a dump by pg_dump. Redis is not in it: what it holds can be built again.
A dump is a program for the database: restore only files that you trust.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.services.folder import SECRET_BYTES, DataFolder, FolderOwned
from agentrooms.services.postgres import Postgres, connect_or_start, program
from agentrooms.services.processes import last_lines

FORMAT = 1
LOG = "log"
SCHEMAS = (LOG, "live", "read")
MANIFEST, SECRET, DUMP = "manifest.json", "secret", "database.dump"
MANIFEST_BYTES_MAX = 64 * 1024
CHUNK_BYTES = 1024**2
HEAD_BYTES = 4096  # of a script, where it sets the session


class BackupFailed(AgentroomsError):
    """A backup cannot be made or restored; nothing that was there has changed."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds."""

    format: int
    made_at: str
    """When, UTC."""
    schemas: tuple[str, ...]
    head: int
    """Position of the last event in the log."""
    dump_sha256: str


def backup(folder: DataFolder, database_url: str | None, out: Path) -> Manifest:
    """Writes the installation to a new file that only our user can read. The system may run meanwhile.

    Raises:
        BackupFailed: there is nothing to back up, or it cannot be read or written.
        InvalidInput: `out` exists.
    """
    if out.exists():
        raise InvalidInput(f"{out} exists", hint="choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _database(folder, database_url) as dsn, _draft(out.parent) as draft:
        dump, whole = draft / DUMP, draft / "whole"
        schemas, head = _dump(dsn, dump)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(FORMAT, now, schemas, head, _sha256(dump.open("rb")))
        with tarfile.open(whole, "w") as tar:
            _add(tar, MANIFEST, msgspec.json.encode(manifest))
            _add(tar, SECRET, folder.secret())
            tar.add(dump, DUMP)
        whole.chmod(0o600)
        whole.replace(out)
    return manifest


def restore(file: Path, folder: DataFolder, database_url: str | None) -> Manifest:
    """Fills a new data folder (and the database at `database_url`, where it must find none of the schemas).

    Raises:
        BackupFailed: the file is damaged, or the database refuses it.
        InvalidInput: the folder or the database is in use already.
    """
    with _draft(None) as draft, folder.own("agentrooms restore"):
        manifest, secret, dump = _read(file, draft)
        if folder.postgres.exists():
            raise InvalidInput(f"{folder.path} holds a database", hint="restore into a new folder")
        database = connect_or_start(database_url, folder.postgres)
        try:
            _require_none(database.dsn, manifest.schemas)
            _load(database.dsn, dump)
            with psycopg.connect(database.dsn) as connection:
                found = _head(connection)
            if found != manifest.head:
                raise BackupFailed(
                    f"{file} should end at position {manifest.head}, but the restored log ends at {found}"
                )
            folder.put_secret(secret)
        except BaseException:  # also on Ctrl-C: a half restored folder must not look like a whole one
            database.stop()
            if database.server is not None:
                shutil.rmtree(folder.postgres)
            raise
        database.stop()
    return manifest


def _dump(dsn: str, dump: Path) -> tuple[tuple[str, ...], int]:
    """Dumps the schemas that exist; returns their names and the head of the log at that moment."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        schemas = _existing(connection, SCHEMAS)
        if LOG not in schemas:
            raise BackupFailed("the database has no log to back up", hint="start the system once: agentrooms up")
        snapshot = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert snapshot is not None
        head = _head(connection)
        names = [f"--schema={name}" for name in schemas]
        _pg(dsn, "pg_dump", "--format=custom", f"--snapshot={snapshot[0]}", f"--file={dump}", *names)
    return schemas, head


def _load(dsn: str, dump: Path) -> None:
    """Puts a dump into the database, whole or not at all; the server may be older than the one it came from."""
    script = dump.with_suffix(".sql")
    _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(dump))
    with script.open("r+b") as file:
        setting = file.read(HEAD_BYTES).find(b"\nSET transaction_timeout = 0;\n")
        if setting >= 0:  # servers before 17 do not know it: make it a comment
            file.seek(setting + 1)
            file.write(b"--")
    options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--output={os.devnull}")
    _pg(dsn, "psql", *options, f"--file={script}")


def _read(file: Path, draft: Path) -> tuple[Manifest, bytes, Path]:
    """Returns what the file holds, the dump as a file in `draft`, after comparing its hash."""
    try:
        with tarfile.open(file) as tar:
            manifest = msgspec.json.decode(_member(tar, MANIFEST).read(MANIFEST_BYTES_MAX), type=Manifest)
            if manifest.format != FORMAT:
                raise BackupFailed(
                    f"{file} has format {manifest.format}; this program knows {FORMAT}",
                    hint="restore it with the version of the program that wrote it",
                )
            secret = _member(tar, SECRET).read(SECRET_BYTES + 1)
            dump = draft / DUMP
            with dump.open("wb") as copy:
                shutil.copyfileobj(_member(tar, DUMP), copy, CHUNK_BYTES)
    except (tarfile.TarError, KeyError, EOFError, msgspec.MsgspecError, OSError) as error:
        raise BackupFailed(f"{file} is no backup that can be read: {error}") from error
    if len(secret) != SECRET_BYTES or _sha256(dump.open("rb")) != manifest.dump_sha256:
        raise BackupFailed(f"{file} is damaged: its contents are not those that were written")
    return manifest, secret, dump


@contextmanager
def _database(folder: DataFolder, url: str | None) -> Iterator[str]:
    """Yields the database of an installation, of the running system or started for the time being."""
    if url is not None:
        yield connect_or_start(url, folder.postgres).dsn
        return
    if not folder.postgres.is_dir():
        raise BackupFailed(f"{folder.path} holds no database", hint="name the data folder, or set DATABASE_URL")
    server = Postgres(folder.postgres)
    try:
        with folder.own("agentrooms backup"):
            try:
                yield server.start()
            finally:
                server.stop()
    except FolderOwned:
        if server.pid is None:
            raise
        yield server.dsn


def _require_none(dsn: str, schemas: tuple[str, ...]) -> None:
    with psycopg.connect(dsn) as connection:
        there = _existing(connection, schemas)
    if there:
        raise InvalidInput(f"the database has {', '.join(there)} already", hint="restore into an empty database")


def _existing(connection: psycopg.Connection, schemas: tuple[str, ...]) -> tuple[str, ...]:
    found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)", [list(schemas)])
    names = {row[0] for row in found}
    return tuple(name for name in schemas if name in names)


def _head(connection: psycopg.Connection) -> int:
    row = connection.execute(sql.SQL("SELECT position FROM {}.log_head").format(sql.Identifier(LOG))).fetchone()
    assert row is not None, "a log has one head"
    return int(row[0])


def _pg(dsn: str, name: str, *arguments: str) -> None:
    """Runs a program of Postgres on the database; the password goes through the environment, where no other user sees it."""
    parts: dict[str, Any] = conninfo_to_dict(dsn)
    password = parts.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    _run(name, "--no-password", f"--dbname={make_conninfo(**parts)}", *arguments, environment=environment)


def _run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
    command = [str(program(name)), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", env=environment)  # noqa: S603 -- a program of the wheel
    if done.returncode != 0:
        raise BackupFailed(f"{name} failed: {last_lines(done.stderr)}")


@contextmanager
def _draft(place: Path | None) -> Iterator[Path]:
    """Yields a private folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix=".agentrooms-", dir=place) as draft:
        yield Path(draft)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    tar.addfile(member, BytesIO(data))


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(f"{name} is not a file")
    return found


def _sha256(file: IO[bytes]) -> str:
    with file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
