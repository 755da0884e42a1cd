"""Where commands write: reports on standard output, talk and progress on standard error."""

from __future__ import annotations

import os
import sys
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from rich.console import Console

from agentrooms.domain.money import format_usdc

if TYPE_CHECKING:
    from rich.table import Table

PIPE_COLUMNS = 120  # a pipe has no width; long enough that tables stay whole
NONE = "–"
_JOINERS = {"\u200d", "\ufe0f"}  # parts of emoji
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, direction marks, line separators


class _Pipe(Console):
    """A console that leaves a closed pipe to `main`."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


@lru_cache(maxsize=1)
def out() -> Console:
    """Returns the console for what was asked for."""
    return _console(stderr=False)


@lru_cache(maxsize=1)
def err() -> Console:
    """Returns the console for talk: progress, what happened on the way, what to try next."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    plain = bool(os.environ.get("NO_COLOR"))
    console = _Pipe(stderr=stderr, highlight=False, color_system=None if plain else "auto", emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_COLUMNS
    return console


def prepare_streams() -> None:
    """Lets streams of a narrow encoding show a question mark instead of failing on an avatar."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def emit(document: dict[str, Any] | list[Any] | msgspec.Struct) -> None:
    """Writes one JSON document on standard output, UTF-8 whatever the locale."""
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def clean(text: str) -> str:
    """Returns text from a log without anything that could steer the terminal."""
    return "".join(c if c in _JOINERS or unicodedata.category(c) not in _HIDDEN else "\ufffd" for c in text)


def usdc(micros: int | None) -> str:
    """Returns an amount for people, a dash when there is none."""
    return NONE if micros is None else format_usdc(micros)


def count(number: int, word: str, many: str = "") -> str:
    """Returns "1 deal" or "2 deals"."""
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def table(*columns: str, title: str = "") -> Table:
    """Returns an empty table; a column whose name begins with `>` holds numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        number = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if number else "left", no_wrap=number)
    return made


def talk(text: str = "") -> None:
    """Writes a line of talk on standard error."""
    err().print(clean(text), soft_wrap=True, markup=False)


def next_steps(*commands: str) -> None:
    """Shows on standard error what to try next."""
    talk("Next:")
    for command in commands:
        talk(f"  {command}")
