"""Processes of the API's bench: each is asked in lines of JSON on its stdin, answers so, and ends when its stdin does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import psutil

from agentrooms.errors import AgentroomsError
from agentrooms.services.child import Child
from agentrooms.services.processes import last_lines

if TYPE_CHECKING:
    from typing import Self

Asked = TypeVar("Asked")


class BenchFailed(AgentroomsError):
    """A part of the bench does not do what is measured, so no figure would mean anything."""


class Worker(Child):
    """A child that is asked and answers; once asked, it must not end by itself."""

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
            raise BenchFailed(f"{self.module} ended: {last_lines(self.said.read_text(errors='replace'))}")
        found: dict[str, Any] = msgspec.json.decode(line)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


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
