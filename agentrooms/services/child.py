"""Servers of our own as child processes: started, waited for, started again when they end, and ended with us however we end.

Such a server says in its first line on stdout, in JSON, that it listens, and ends when its stdin does.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from agentrooms.errors import AgentroomsError
from agentrooms.services.processes import last_lines

STOP_TIMEOUT_S = 10
SAID_BYTES_MAX = 50 * 1024**2  # of what one has said; a longer file is put aside at the next start
BACKOFF_S = (0.1, 5.0)  # before one that ended is started again

log = logging.getLogger(__name__)


class ChildUnusable(AgentroomsError):
    """A server of our own does not start."""


class Child:
    """`python -m MODULE OPTIONS` as a child; it listens when the constructor returns. `ready` is what it said then.

    What else it says goes to the file `said`; `fds` are files it is given, `env` is added to its environment. Raises
    ChildUnusable with the end of what it said.
    """

    def __init__(
        self, module: str, said: Path, *options: str, fds: tuple[int, ...] = (), env: Mapping[str, str] | None = None
    ) -> None:
        self.module, self.said = module, said
        if said.exists() and said.stat().st_size > SAID_BYTES_MAX:
            said.replace(said.with_name(f"{said.name}.1"))
        with said.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                [sys.executable, "-m", module, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                pass_fds=fds,
                env={**os.environ, **(env or {})},
            )
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline()
        if not self.ready:
            self.stop()
            raise ChildUnusable(f"{module} does not start: {last_lines(said.read_text(errors='replace'))}")

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def wait(self) -> None:
        """Waits until it has ended, for whatever reason."""
        self._process.wait()

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()
        self._reap()

    def stop(self) -> None:
        """Ends it; a second time does nothing."""
        self._process.terminate()
        self._reap()

    def _reap(self) -> None:
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Keeper:
    """Keeps a child running until it is told to stop. `start` makes it, and another when it ends; `first` runs already."""

    def __init__(self, start: Callable[[], Child], name: str, first: Child | None = None) -> None:
        self._process = first
        self._start = start
        self._name = name
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The number of the child that runs now, None while there is none."""
        return self._process.pid if self._process is not None else None

    def stop(self) -> None:
        """Ends the child."""
        self._stopping.set()
        if self._process is not None:
            self._process.stop()
        self._thread.join(STOP_TIMEOUT_S)  # one that hangs in its start ends with our end of its stdin

    def _keep(self) -> None:
        wait = BACKOFF_S[0]
        while True:
            if self._process is not None:
                self._process.wait()
                if self._stopping.is_set():
                    return
                log.warning("%s ended; it is started again", self._name)
                self._process.stop()  # what is left of it here: its pipes
                self._stopping.wait(wait)
            try:
                self._process = self._start()
                wait = BACKOFF_S[0]
            except (AgentroomsError, OSError) as error:
                self._process = None
                log.error("%s does not start: %s", self._name, error)  # noqa: TRY400 - its own log has the rest
                wait = min(BACKOFF_S[1], wait * 2)
                self._stopping.wait(wait)
            if self._stopping.is_set():
                if self._process is not None:
                    self._process.stop()
                return
