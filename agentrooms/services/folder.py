"""The data folder of an installation: where things lie in it, and that one process owns it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

from agentrooms.errors import AgentroomsError, InvalidInput

FORMAT = 2  # of the folder's layout and of the events of its log
SECRET_BYTES = 32
BEGUN = {"lock", ".gitignore", ".format"}  # what is there when its maker died early


class FolderOwned(AgentroomsError):
    """Another process owns the data folder."""


class FolderUnusable(InvalidInput):
    """The folder is no data folder of this version of the program, or cannot be written."""


class Owner(msgspec.Struct, frozen=True):
    """The process that owns a data folder."""

    pid: int
    host: str
    command: str
    started_at_s: float  # of the process, as the system tells it: pid and this name a process uniquely

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"`{self.command}` (process {self.pid} on {self.host}, since {since})"

    @property
    def alive(self) -> bool:
        """Whether the process still runs; taken as true on another host, where we cannot look."""
        if self.host != socket.gethostname():
            return True
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started_at_s) < 1
        except psutil.NoSuchProcess:
            return False


class DataFolder:
    """Paths below one folder. Making it and writing to it is for its owner."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.postgres = self.path / "postgres"
        self.redis = self.path / "redis"
        self.logs = self.path / "logs"
        self._lock = self.path / "lock"
        self._format = self.path / "format"
        self._secret = self.path / "secret"

    @contextlib.contextmanager
    def own(self, command: str) -> Iterator[DataFolder]:
        """Makes the folder if need be and owns it until the block or the process ends, however it ends.

        Raises:
            FolderOwned: names the process that owns it.
            FolderUnusable: it holds something else, is of a newer version, or cannot be written.
        """
        lock = self._open_lock()
        try:
            self._take(lock)
            self._check()
            self._write_owner(lock, command)
            try:
                yield self
            finally:
                os.ftruncate(lock, 0)
        finally:
            os.close(lock)

    def owner(self) -> Owner | None:
        """Returns the process that owns the folder now, or None."""
        try:
            found = msgspec.json.decode(self._lock.read_bytes(), type=Owner)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        return found if found.alive else None

    def secret(self) -> bytes:
        """Returns the 32 random bytes of this installation, made at the first call; only our user can read them.

        Raises:
            FolderUnusable: the file has another length.
        """
        if not self._secret.exists():
            draft = self.path / f".secret-{secrets.token_hex(4)}"
            _write_private(draft, secrets.token_bytes(SECRET_BYTES))
            with contextlib.suppress(FileExistsError):  # another process was quicker: its secret counts
                os.link(draft, self._secret)
            draft.unlink()
        found = self._secret.read_bytes()
        if len(found) != SECRET_BYTES:
            raise FolderUnusable(
                f"{self._secret} has {len(found)} bytes instead of {SECRET_BYTES}", hint="restore it from a backup"
            )
        return found

    def put_secret(self, secret: bytes) -> None:
        """Gives a new folder the secret of a backup.

        Raises:
            FolderUnusable: it has a secret of its own.
        """
        assert len(secret) == SECRET_BYTES, len(secret)
        try:
            _write_private(self._secret, secret)
        except FileExistsError as error:
            raise FolderUnusable(f"{self._secret} exists", hint="restore into a new folder") from error

    def _open_lock(self) -> int:
        try:
            strange = self.path.is_dir() and {file.name for file in self.path.iterdir()} - BEGUN
            if strange and not self._format.exists():
                raise FolderUnusable(
                    f"{self.path} is no data folder of agentrooms, and not empty",
                    hint="set AGENTROOMS_DATA to a new folder",
                )
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FolderUnusable(
                f"the data folder {self.path} cannot be written: {error.strerror}",
                hint="set AGENTROOMS_DATA to a folder that can",
            ) from error

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = self.owner()
            raise FolderOwned(
                f"{self.path} is in use by {owner or 'a process that has just begun'}",
                hint=f"stop it first{f' (kill {owner.pid})' if owner else ''}, or set AGENTROOMS_DATA to another folder",
            ) from error

    def _check(self) -> None:
        """Makes what a data folder has, or checks that it is one of this version."""
        if not self._format.exists():
            (self.path / ".gitignore").write_text("*\n")  # a secret must not end in somebody's repository
            draft = self.path / ".format"
            draft.write_text(f"{FORMAT}\n")
            draft.replace(self._format)
        found = self._format.read_text().strip()
        if found != str(FORMAT):
            raise FolderUnusable(
                f"{self.path} has format {found!r}; this program knows {FORMAT}",
                hint="use the version of the program that wrote it, or another folder",
            )
        self.logs.mkdir(exist_ok=True)

    @staticmethod
    def _write_owner(lock: int, command: str) -> None:
        me = psutil.Process()
        owner = Owner(pid=me.pid, host=socket.gethostname(), command=command, started_at_s=me.create_time())
        os.ftruncate(lock, 0)
        os.pwrite(lock, msgspec.json.encode(owner), 0)


def _write_private(path: Path, data: bytes) -> None:
    """Writes a new file that only our user can read, down to the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
