"""Log lines of the API: one a request, and what else is worth one, each with the ids of what it is about.

A line is JSON on a pipe and text on a terminal. No line holds a query string, a body, or the text of an exception,
which may quote either; a second fence masks fields and texts that look like secrets or limits.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "[masked]"
TEXT_MAX = 500
QUIET = ("httpx", "httpcore", "websockets", "engineio", "socketio", "asyncio")  # they log addresses with queries
FIRST = ("ts", "level", "event", "request_id")

_SECRET = re.compile(
    r"token|signature|secret|password|authorization|cookie|limit|price|amount|budget|usdc|maximum|body|query|dsn|private"
)
_LOOKS_SECRET = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|\b(?:0x)?[0-9a-fA-F]{130}\b"  # a signature of a wallet
    r"|(?<=://)[^/\s@:]*:[^/\s@]*@"  # user and password in an address
    r"|(?i:(?<=bearer )\S+)"
    r"|\?[\w%.~-]+=[^\s\"']*"  # a query string
)
_facts: ContextVar[dict[str, Any] | None] = ContextVar("facts", default=None)


def set_up(*, json: bool) -> None:
    """Sets up logging of this process: lines of JSON, or text for a terminal, on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(json=json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(*, json: bool) -> logging.Formatter:
    """Returns what makes a line of a record of the standard library's logging."""
    last: Processor = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts" if json else "timestamp"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _with_facts,
            _without_exception,
            redact,
            _in_order,
            last,
        ],
    )


@contextmanager
def about(**facts: object) -> Iterator[dict[str, Any]]:
    """All lines within carry these fields. Gives the fields; what `note` adds is among them."""
    held: dict[str, Any] = dict(facts)
    reset = _facts.set(held)
    try:
        yield held
    finally:
        _facts.reset(reset)


def note(**facts: object) -> None:
    """Adds ids (`user`, `room`, `agent`, `deal`, `position`) to the lines of the request that is being answered.

    May be called on the threads of endpoints: they share the fields of their request.
    """
    held = _facts.get()
    if held is not None:
        held.update(facts)


def redact(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Masks what must not be in a line: fields by their names, texts by their looks."""
    return {str(name): _redacted(str(name), value) for name, value in line.items()}


def _redacted(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever is logged
    if _SECRET.search(name.lower()):
        return MASK
    if isinstance(value, MutableMapping):
        return {str(inner): _redacted(str(inner), one) for inner, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _LOOKS_SECRET.sub(MASK, str(value))[:TEXT_MAX]


def _with_facts(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {**(_facts.get() or {}), **line}


def _without_exception(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Keeps an exception's type and place; its text may quote what a request said."""
    found = line.pop("exc_info", None)
    line.pop("stack_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        line["error"], line["where"] = type(error).__name__, place_of(error)
    return line


def place_of(error: BaseException) -> str:
    """Returns the module and line that raised an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


def _in_order(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Puts first what is read first; leaves out what libraries (Ray) mark as their own in every record."""
    rest = {name: value for name, value in line.items() if name not in FIRST and not name.startswith("_")}
    return {**{name: line[name] for name in FIRST if name in line}, **rest}
