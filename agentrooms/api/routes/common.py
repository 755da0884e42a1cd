"""What several resources share: ids in paths, pages, ids of commands, who owns what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Response

from agentrooms.api.asking import command_id
from agentrooms.api.auth.principal import Principal, SignedIn
from agentrooms.api.problems import Problem
from agentrooms.api.reading import cursor_of

ID_PATTERN = r"^[A-Za-z0-9._:-]+$"
ID_CHARACTERS_MAX = 100
KEY_CHARACTERS_MAX = 255
NDJSON = "application/x-ndjson"

Row = TypeVar("Row")
PathId = Annotated[str, Path(pattern=ID_PATTERN, max_length=ID_CHARACTERS_MAX)]
"""An id in a path."""


def _command_id(
    principal: SignedIn, idempotency_key: Annotated[str | None, Header(max_length=KEY_CHARACTERS_MAX)] = None
) -> str:
    return command_id(principal.user, idempotency_key)


CommandId = Annotated[str, Depends(_command_id)]
"""The id of the command that a request is: the same again for the same idempotency key."""


def _uncached(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


UNCACHED = Depends(_uncached)
"""For answers that may hold what is for one person alone."""


def page_of(rows: Sequence[Row], limit: int, key: Callable[[Row], str | int]) -> tuple[Sequence[Row], str | None]:
    """Returns a page and the cursor of the next one; `rows` are one more than the page holds, where there are."""
    shown = rows[:limit]
    return shown, cursor_of(key(shown[-1])) if len(rows) > limit else None


def require_own(principal: Principal, users: frozenset[str], what: str) -> None:
    """Raises Problem 403 for somebody who is none of the users."""
    if principal.user not in users:
        raise Problem(403, f"{what} is another's", hint="only who made it may do that")
