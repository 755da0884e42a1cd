"""Processes of the API's bench: each is asked in lines of JSON on its stdin, answers so, and ends when its stdin does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import psutil

from agentrooms.errors import AgentroomsError
from agentrooms.services.processes import last_lines

if TYPE_CHECKING:
    from typing import Self

STOP_S = 10.0
Asked = TypeVar("Asked")


class BenchFailed(AgentroomsError):
    """A part of the bench does not do what is measured, so no figure would mean anything."""


class Worker:
    """`python -m MODULE OPTIONS` as a process. `ready` is the first thing it says. Raises BenchFailed."""

    def __init__(
        self, module: str, said: Path, *options: str, fds: tuple[int, ...] = (), env: Mapping[str, str] | None = None
    ) -> None:
        """What else it says goes to the file `said`."""
        self._module, self._said = module, said
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
        try:
            self.ready: dict[str, Any] = self.answer()
        except BenchFailed:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Returns the CPU time that it has used, of itself and of the system for it."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def ask(self, **asked: object) -> dict[str, Any]:
        """Returns its answer. Raises BenchFailed when it ends instead."""
        self.tell(**asked)
        return self.answer()

    def tell(self, **asked: object) -> None:
        """Asks without waiting for the answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer will not come, and tells why
            self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Waits for what it says next. Raises BenchFailed when it ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchFailed(f"{self._module} ended: {last_lines(self._said.read_text(errors='replace'))}")
        found: dict[str, Any] = msgspec.json.decode(line)
        return found

    def close(self) -> None:
        """Ends it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def work_on(do: Callable[[Asked], object], asked: type[Asked]) -> None:
    """Answers what is asked on stdin until it ends; for the process itself."""
    say({})
    decoder = msgspec.json.Decoder(asked)
    for line in sys.stdin.buffer:
        say(do(decoder.decode(line)))


def say(answer: object) -> None:
    """Writes one line of JSON to stdout."""
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()
