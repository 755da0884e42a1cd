"""Reading requests strictly: bounded bodies, JSON without surprises, and errors that repeat nothing of what was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from agentrooms.api.bodies import read_body
from agentrooms.api.idempotency import once
from agentrooms.api.models.base import Number
from agentrooms.api.problems import Problem

BODY_BYTES_MAX = 65_536
BODY_S = 10.0  # for a whole body
DEPTH_MAX = 16
INTEGER_DIGITS_MAX = 20
ERRORS_SHOWN = 5


class StrictRequest(Request):
    """A request whose body is read within bounds and decoded once."""

    async def body(self) -> bytes:
        """Returns the body. Raises Problem for one that is too long, too slow or cut."""
        if not hasattr(self, "_body"):
            self._body = await read_body(self, bytes_max=BODY_BYTES_MAX, timeout_s=BODY_S)
        return self._body

    async def json(self) -> Any:  # noqa: ANN401 - whatever it holds
        """Returns the body's value; a number with a fraction stays as it was written. Raises Problem."""
        return decode(await self.body())


class StrictRoute(APIRoute):
    """A route whose request is a StrictRequest, done once however often it is sent with its Idempotency-Key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns the handler."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await once(StrictRequest(request.scope, request.receive), handle)

        return strict


def decode(body: bytes) -> Any:  # noqa: ANN401 - whatever it holds
    """Returns the value of a JSON text.

    Raises Problem for what is not one value of plain JSON in UTF-8: keys twice, NaN, numbers or nesting out of bounds.
    """
    try:
        text = body.decode()
        _require_shallow(text)
        return json.loads(
            text, parse_float=_number, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_object
        )
    except UnicodeDecodeError as error:
        raise Problem(400, "the body is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {_why(error)}", hint="send one JSON object") from error


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (character {error.pos})"
    return str(error)


def _require_shallow(text: str) -> None:
    """Raises ValueError for a text nested too deeply; the decoder would go as deep as it can."""
    depth, quoted, escaped = 0, False, False
    for letter in text:
        if quoted:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == '"':
                quoted = False
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise ValueError(f"nested more than {DEPTH_MAX} deep")
        elif letter in "]}":
            depth -= 1


def _number(text: str) -> Number:
    if "e" in text or "E" in text:
        raise ValueError("numbers have no exponent here")
    return Number(text)


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > INTEGER_DIGITS_MAX:
        raise ValueError(f"a whole number has at most {INTEGER_DIGITS_MAX} digits")
    return int(text)


def _constant(_text: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError("NaN and Infinity are no numbers of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def invalid(error: RequestValidationError) -> Problem:
    """Returns the problem of a request that does not fit its model. No value of it is repeated."""
    shown = [f"{_place(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
    more = f" and {len(shown) - ERRORS_SHOWN} more" if len(shown) > ERRORS_SHOWN else ""
    return Problem(422, "; ".join(shown[:ERRORS_SHOWN]) + more, hint="see /api/docs for what is expected")


def _place(loc: tuple[int | str, ...]) -> str:
    """Returns where a fault is: names of fields that were sent are cut, they may be anything."""
    inner = loc[1:] if loc[0] in {"body", "query", "path", "header", "cookie"} else loc
    return ascii(".".join(str(part)[:40] for part in inner) or "the body").strip("'")[:100]
