"""One file that holds an installation: its database as of one moment, the files that belong to it, and its secret.

The file is a tar of a manifest, the secret, a dump by pg_dump, and other files of the data folder as of a moment later.
Redis is not in it: what it holds can be built again.
A dump is a program for the database: restore only files that you trust.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.services.folder import SECRET_BYTES, DataFolder, FolderOwned
from agentrooms.services.postgres import Postgres, connect_or_start, program
from agentrooms.services.processes import last_lines

FORMAT = 2  # 1 had no files beside the database
LOG = "log"
SCHEMAS = (LOG, "live", "read", "accounts", "jobs")
MANIFEST, SECRET, DUMP, FILES = "manifest.json", "secret", "database.dump", "files"
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
    files: dict[str, str]
    """Other files, by their paths in the data folder, each with its SHA-256."""


class _Form(msgspec.Struct, frozen=True):
    """What manifests of all formats have."""

    format: int


CopyFiles = Callable[[DataFolder, Path], None]
"""Puts what belongs to the database into an empty folder, where it lies as in the data folder."""
Say = Callable[[str], None]
"""Told whose database is used."""


def backup(
    folder: DataFolder,
    database_url: str | None,
    out: Path,
    copy_files: CopyFiles,
    say: Say = lambda _whose: None,
) -> Manifest:
    """Writes the installation to a new file that only our user can read. The system may run meanwhile.

    `copy_files` is called after the database's moment; what it raises is raised.

    Raises:
        BackupFailed: there is nothing to back up, or it cannot be read or written.
        InvalidInput: `out` exists.
    """
    if out.exists():
        raise InvalidInput(f"{out} exists", hint="choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _database(folder, database_url) as (dsn, whose), _draft(out.parent) as draft:
        say(whose)
        dump, whole, beside = draft / DUMP, draft / "whole", draft / FILES
        now = datetime.now(UTC).isoformat(timespec="seconds")
        beside.mkdir()
        schemas, head = _dump(dsn, dump, lambda: copy_files(folder, beside))
        files = {file.relative_to(beside).as_posix(): file for file in sorted(beside.rglob("*")) if file.is_file()}
        hashes = {name: _sha256(file.open("rb")) for name, file in files.items()}
        manifest = Manifest(FORMAT, now, schemas, head, _sha256(dump.open("rb")), hashes)
        with tarfile.open(whole, "w") as tar:
            _add(tar, MANIFEST, msgspec.json.encode(manifest))
            _add(tar, SECRET, folder.secret())
            tar.add(dump, DUMP)
            for name, file in files.items():
                tar.add(file, f"{FILES}/{name}")
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
        _require_new(folder, manifest)
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
            for name in manifest.files:
                (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(draft / FILES / name, folder.path / name)
            folder.put_secret(secret)
        except BaseException:  # also on Ctrl-C: a half restored folder must not look like a whole one
            for name in manifest.files:
                (folder.path / name).unlink(missing_ok=True)
            database.stop()
            if database.server is not None:
                shutil.rmtree(folder.postgres)
            raise
        database.stop()
    return manifest


def _dump(dsn: str, dump: Path, then: Callable[[], None]) -> tuple[tuple[str, ...], int]:
    """Dumps the schemas that exist; returns their names and the head of the log at that moment, which `then` follows."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        schemas = _existing(connection, SCHEMAS)
        if LOG not in schemas:
            raise BackupFailed("the database has no log to back up", hint="start the system once: agentrooms up")
        snapshot = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert snapshot is not None
        head = _head(connection)
        then()  # soon after that moment: the dump itself may take long
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
    """Returns what the file holds, dump and other files as files in `draft`, after comparing their hashes."""
    try:
        with tarfile.open(file) as tar:
            found = _member(tar, MANIFEST).read(MANIFEST_BYTES_MAX)
            form = msgspec.json.decode(found, type=_Form).format
            if form != FORMAT:
                raise BackupFailed(
                    f"{file} has format {form}; this program knows {FORMAT}",
                    hint="restore it with the version of the program that wrote it",
                )
            manifest = msgspec.json.decode(found, type=Manifest)
            secret = _member(tar, SECRET).read(SECRET_BYTES + 1)
            hashes = {DUMP: manifest.dump_sha256} | {f"{FILES}/{_inside(n)}": h for n, h in manifest.files.items()}
            whole = [_extract(tar, name, draft / name) == due for name, due in hashes.items()]
    except (tarfile.TarError, KeyError, EOFError, msgspec.MsgspecError, OSError) as error:
        raise BackupFailed(f"{file} is no backup that can be read: {error}") from error
    if len(secret) != SECRET_BYTES or not all(whole):
        raise BackupFailed(f"{file} is damaged: its contents are not those that were written")
    return manifest, secret, draft / DUMP


def _inside(name: str) -> str:
    """Returns a path that lies in the folder it is relative to. Raises KeyError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise KeyError(f"{name!a} lies outside")
    return str(path)


def _extract(tar: tarfile.TarFile, name: str, to: Path) -> str:
    """Writes a member to a file; returns its SHA-256."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("wb") as copy:
        shutil.copyfileobj(_member(tar, name), copy, CHUNK_BYTES)
    return _sha256(to.open("rb"))


@contextmanager
def _database(folder: DataFolder, url: str | None) -> Iterator[tuple[str, str]]:
    """Yields the database of an installation and whose it is; the folder is the running system's or ours meanwhile."""
    if url is None and not folder.postgres.is_dir():
        raise BackupFailed(f"{folder.path} holds no database", hint="name the data folder, or set DATABASE_URL")
    if not folder.path.is_dir():
        raise BackupFailed(f"there is no data folder {folder.path}", hint="name it with --data, or AGENTROOMS_DATA")
    server = Postgres(folder.postgres)
    with ExitStack() as ends:
        try:
            ends.enter_context(folder.own("agentrooms backup"))
            ours = True
        except FolderOwned:
            if url is None and server.pid is None:
                raise
            ours = False
        if url is not None:
            yield connect_or_start(url, folder.postgres).dsn, "DATABASE_URL"
        elif ours:
            ends.callback(server.stop)
            yield server.start(), f"started for this command in {folder.path}"
        else:
            yield server.dsn, f"that of the system running in {folder.path}"


def _require_new(folder: DataFolder, manifest: Manifest) -> None:
    if folder.postgres.exists():
        raise InvalidInput(f"{folder.path} holds a database", hint="restore into a new folder")
    there = [name for name in manifest.files if (folder.path / name).exists()]
    if there:
        raise InvalidInput(f"{folder.path} has {', '.join(there)} already", hint="restore into a new folder")


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
