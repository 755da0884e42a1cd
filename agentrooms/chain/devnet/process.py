"""The devnet's server as a child process: started, waited for, and ended with us however we end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from agentrooms.chain.devnet.engine import EngineUnusable
from agentrooms.chain.devnet.server import Ready
from agentrooms.services.processes import last_lines

STOP_TIMEOUT_S = 10


class DevnetProcess:
    """A running server; `options` are those of the command line, such as `"--mode", "command"`.

    What the server says goes to `log`. It listens when the constructor returns.

    Raises:
        EngineUnusable: it does not start; the message is what it said.
    """

    def __init__(self, log: Path, *options: str) -> None:
        command = [sys.executable, "-m", "agentrooms.chain.devnet.server", "--with-parent", *options]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise EngineUnusable(f"the devnet does not start: {last_lines(log.read_text(errors='replace'))}")
        self.ready = msgspec.json.decode(line, type=Ready)

    @property
    def url(self) -> str:
        return self.ready.url

    @property
    def pid(self) -> int:
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
