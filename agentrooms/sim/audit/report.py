"""What an audit says: one check a line, the place of the first thing that is wrong, and what nobody could check."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, how many events it has done and how many there are."""


class Check(msgspec.Struct, frozen=True):
    """One check's result: how many things it looked at, and the first that is wrong (or what was compared)."""

    name: str
    passed: bool
    count: int
    place: str = ""
    detail: str = ""


class Report(msgspec.Struct, frozen=True):
    """An audit's result. `head` is computed from the log; "" when the log cannot be read."""

    head: str
    checks: tuple[Check, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with what could be checked."""
        return all(check.passed for check in self.checks)

    def check(self, name: str) -> Check:
        """Returns the check of that name. Raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)


class Findings:
    """Collects what one check finds; the report shows the first and counts the others."""

    def __init__(self, name: str, place_of: Callable[[int], str]) -> None:
        self.name = name
        self.count = 0
        self.wrongs: list[tuple[int, str]] = []
        self._place_of = place_of

    def wrong(self, line: int, detail: str) -> None:
        """Notes something wrong at a line of the log; 0 is the archive as a whole."""
        self.wrongs.append((line, detail))

    def expect(self, holds: bool, line: int, detail: str) -> None:
        """Counts one comparison and notes it when it fails. For values that are cheap to put into words."""
        self.count += 1
        if not holds:
            self.wrong(line, detail)

    def check(self, compared: str) -> Check:
        """Returns the check; `compared` says what was compared when nothing is wrong."""
        if not self.wrongs:
            return Check(self.name, True, self.count, "", compared)
        line, detail = min(self.wrongs, key=lambda wrong: wrong[0] or 1 << 62)
        more = len(self.wrongs) - 1
        rest = f" (and {more} more)" if more else ""
        return Check(self.name, False, self.count, self._place_of(line), detail + rest)


def not_run(name: str, why: str) -> Check:
    """Returns the failed check of one that could not run."""
    return Check(name, False, 0, "", f"not run: {why}")


def guarded(name: str, run: Callable[[], Check]) -> Check:
    """Returns the check, failed when bytes nobody thought of make it stumble: an audit never ends in a traceback."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding about these bytes
        return not_run(name, f"{type(error).__name__}: {error}")
