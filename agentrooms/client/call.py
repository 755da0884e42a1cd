"""One request as plain values: what is sent, and what its answer is read as. Nothing here talks to anybody."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from agentrooms.client.problem import AnswerUnreadable
from agentrooms.errors import InvalidInput

Answer = TypeVar("Answer")
Value = str | int | float | bool | Decimal | None | dict[str, Any] | list[Any]
NULL = "\0null"
"""The value of a field that is sent as null; one that is None is not sent."""
Usdc = Decimal | int | str
"""An amount of USDC: no floats, whose digits are not those one wrote."""


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request. A write has a key, so that it can be sent again."""

    method: str
    path: str
    answer: type[Answer]
    """`bytes` for what is not JSON."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    key: str | None = None
    anonymous: bool = False
    """Whether no token goes along."""
    harmless: bool = False
    """Whether it may be sent again without a key."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it does the same when it is sent twice."""
        return self.method == "GET" or self.key is not None or self.harmless

    def read(self, body: bytes) -> Answer:
        """Returns the answer. Raises AnswerUnreadable."""
        if self.answer is bytes:
            return body  # type: ignore[return-value]
        try:
            kind: Any = self.answer  # mypy takes a type variable's type for one without a hash
            found: Answer = _adapter(kind).validate_json(body)
            return found
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise AnswerUnreadable(
                f"the answer of {self.method} {self.path} cannot be read: {place}: {first['msg']}",
                hint="client and API may be of different versions",
            ) from None


def get(path: str, answer: type[Answer], **query: Value) -> Call[Answer]:
    """Returns a call that reads."""
    return Call("GET", path, answer, {to_camel(name): _text(one) for name, one in query.items() if one is not None})


def write(
    method: str, path: str, answer: type[Answer], *, anonymous: bool = False, harmless: bool = False, **fields: Value
) -> Call[Answer]:
    """Returns a call that changes something. Fields that are None are left out; money goes out as text."""
    given = {to_camel(name): None if value == NULL else value for name, value in fields.items() if value is not None}
    body = json.dumps(given, default=str).encode() if given else None
    key = None if anonymous else secrets.token_hex(16)
    return Call(method, path, answer, body=body, key=key, anonymous=anonymous, harmless=harmless)


def at(*parts: str) -> str:
    """Returns a path of parts, each safe whatever is in it. Raises InvalidInput for one that steps aside."""
    for part in parts:
        if part in {"", ".", ".."}:  # clients and servers take such a part out of the path
            raise InvalidInput(f"{part!r} names nothing", hint="give an id")
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@lru_cache(maxsize=256)
def _adapter(answer: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(answer)
