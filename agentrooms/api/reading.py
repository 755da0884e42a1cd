"""Reading the read models: a few connections for many requests, cursors of pages, ETags."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Annotated, TypeVar

import psycopg
from fastapi import Query, Request, Response
from psycopg_pool import ConnectionPool, PoolTimeout

from agentrooms.api.models.base import PAGE_MAX
from agentrooms.api.problems import Problem
from agentrooms.events.postgres import CONNECT_TIMEOUT_S
from agentrooms.projections.catching_up import NotCaughtUp, wait_for
from agentrooms.projections.queries import NotFound
from agentrooms.projections.writing import place

CONNECTIONS_MAX = 8
POOL_WAIT_S = 5.0
STATEMENT_MS = 10_000
CATCH_UP_S = 10.0  # how long a read after one's own write waits for the tables
CURSOR_MAX = 300
NUMBER_MAX = (1 << 63) - 1  # the largest that Postgres takes

Result = TypeVar("Result")
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most rows of a page")]
Cursor = Annotated[str | None, Query(max_length=CURSOR_MAX, description="`nextCursor` of the page before")]


class Reads:
    """The read models of one process. Every method raises Problem when they cannot be read now."""

    def __init__(self, dsn: str, schema: str) -> None:
        self._pool: ConnectionPool[psycopg.Connection] = ConnectionPool(
            dsn,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            timeout=POOL_WAIT_S,
            kwargs={
                "autocommit": True,
                "application_name": "api",
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": f"-c search_path={schema} -c statement_timeout={STATEMENT_MS}",
            },
            check=ConnectionPool.check_connection,
            open=True,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def run(self, work: Callable[[psycopg.Connection], Result]) -> Result:
        """Returns what `work` reads. A row that is not there is a Problem 404."""
        try:
            with self._pool.connection() as connection:
                return work(connection)
        except NotFound as error:
            raise Problem(404, str(error)) from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Problem(503, "the read models cannot be reached", hint="try again in a moment") from error
        except psycopg.errors.UndefinedTable as error:
            raise Problem(503, "the read models are not there yet", hint="try again in a moment") from error

    def wait_for(self, position: int) -> None:
        """Returns once the tables hold an event of the log; each look takes a connection for itself alone."""
        try:
            wait_for(lambda: self.run(place), position, CATCH_UP_S)
        except NotCaughtUp as error:
            raise Problem(
                503, "it is done, but the read models have not followed yet", hint="read it again in a moment"
            ) from error


def cursor_of(key: str | int) -> str:
    """Returns the opaque text of a page's last key."""
    kind = "i" if isinstance(key, int) else "s"
    return base64.urlsafe_b64encode(f"{kind}{key}".encode()).decode().rstrip("=")


def key_of(cursor: str) -> str | int:
    """Returns the key of a cursor. Raises Problem."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if text[:1] == "i" and len(text) <= 20 and abs(number := int(text[1:])) <= NUMBER_MAX:
            return number
        if text[:1] == "s" and "\0" not in text:
            return text[1:]
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise Problem(422, "the cursor is none that was given", hint="take `nextCursor` of the page before as it is")


def text_key(cursor: str | None) -> str:
    """Returns a cursor's key where keys are texts, "" for the first page."""
    return "" if cursor is None else str(key_of(cursor))


def number_key(cursor: str | None) -> int | None:
    """Returns a cursor's key where keys are numbers, None for the first page."""
    if cursor is None:
        return None
    key = key_of(cursor)
    if not isinstance(key, int):
        raise Problem(422, "the cursor is one of another list", hint="take `nextCursor` of the page before as it is")
    return key


def etagged(request: Request, response: Response, *parts: object) -> bool:
    """Gives the answer its ETag; returns whether the asker has it already, which is a 304."""
    tag = f'W/"{hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    known = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    return tag in known or "*" in known
