"""Starts the living system as a process of its own, as a user does, and finds what it leaves behind."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.cli.commands import AGENTROOMS, uncovered

START_TIMEOUT_S = 90  # a start that others make slow; a quiet machine needs about six
END_TIMEOUT_S = 60
LOOK_S = 0.05
MARK = "AGENTROOMS_TEST_MARK"  # in the environment, so in that of all descendants, too


class Up:
    """One `agentrooms up` in a folder; what it writes goes to files there, so that nobody has to read it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.data = folder / ".agentrooms"
        self.mark = secrets.token_hex(8)
        self._out, self._err = (folder / f"{name}-{self.mark}" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [AGENTROOMS, "up", "--no-screen", "--preset", "small_test", *arguments],
                stdout=out,
                stderr=err,
                cwd=folder,
                env=uncovered(**{MARK: self.mark}),
                start_new_session=True,
                preexec_fn=_hear_hangups,  # noqa: PLW1509 - before there are threads
            )

    @property
    def out(self) -> str:
        """What it has written so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it has said so far."""
        return self._err.read_text(encoding="utf-8")

    def until(self, pattern: str) -> str:
        """Waits until what it writes matches; returns it."""
        wait_for(lambda: self._alive() and re.search(pattern, self.out, re.MULTILINE) is not None, self.tell)
        return self.out

    def until_said(self, pattern: str) -> str:
        """Waits until what it says beside matches; returns the pattern's group."""
        wait_for(lambda: self._alive() and re.search(pattern, self.err) is not None, self.tell)
        found = re.search(pattern, self.err)
        assert found is not None
        return found[1]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ends it by a signal; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_TIMEOUT_S)

    def left(self) -> list[str]:
        """Returns all processes that descend from it or work in its folder."""
        return [f"{p.pid} {' '.join(p.info['cmdline'] or [])[:200]}" for p in self._processes()]

    def tell(self) -> str:
        """Returns all it has written, for messages."""
        return f"exit code {self.process.poll()}\n{self.out}\n{self.err}"

    def kill_all(self) -> None:
        """Ends whatever is left of it."""
        for process in self._processes():
            process.kill()

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.tell()
        return True

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline", "environ", "status"]):
            ours = (process.info["environ"] or {}).get(MARK) == self.mark
            at_work = any(str(self.data) in part for part in process.info["cmdline"] or [])
            if (ours or at_work) and process.pid != os.getpid() and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


def _hear_hangups() -> None:
    """A suite that was started to outlive its terminal ignores SIGHUP, and what it starts would."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[Up]:
    """Starts the system and makes sure that nothing of it is left afterwards."""
    started = Up(folder, *arguments)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGINT)
            try:
                started.process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                started.process.kill()
        started.kill_all()


def wait_for(condition: Callable[[], bool], tell: Callable[[], str] = str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Waits until a condition holds; fails with what `tell` says when it does not."""
    last = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < last, tell()
        time.sleep(LOOK_S)
