"""What all models of the wire share: names in camelCase, exact money, times as text, pages.

Money goes out twice: as a JSON number with at most two decimals, and as whole micro-USDC in a string, which no reader
can round. It comes in as a number or a string of at most two decimals, read from the digits that were sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, overload

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from agentrooms.domain.canonical import is_normal
from agentrooms.domain.money import PRICE_MAX_USDC_MICROS, USDC_MICROS, parse_usdc
from agentrooms.errors import InvalidInput

PAGE_MAX = 100
PAGE = 50
PATTERN_MICROS = r"^-?[0-9]{1,20}$"
TEXT_MAX = 280


class Wire(BaseModel):
    """Base of what goes out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, serialize_by_alias=True)


class Asked(BaseModel):
    """Base of what comes in: a field too many is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=False, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _is_object(cls, value: Any) -> Any:  # noqa: ANN401 - whatever a body holds
        """Refuses all but objects: FastAPI reads models from any object's attributes, and a Number has some."""
        if not isinstance(value, dict):
            raise ValueError("should be an object")  # noqa: TRY004 - pydantic's way
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a request with a fraction, as it was written. No text: where a text is due, a number is wrong."""

    text: str


def _usdc_in(value: Any) -> int:  # noqa: ANN401 - whatever a body holds
    """Returns micro-USDC. No message repeats the value: it may be a limit."""
    if isinstance(value, bool) or not isinstance(value, int | str | Number):
        raise ValueError("an amount of USDC is a number or text such as 48.50")  # noqa: TRY004 - pydantic's way
    text = value.text if isinstance(value, Number) else str(value)
    try:
        if text != text.strip():
            raise ValueError("an amount of USDC has no blanks")
        micros = parse_usdc(text)
    except InvalidInput:
        raise ValueError(
            "an amount of USDC has at most two decimals, no sign and no exponent, such as 48 or 48.50, "
            f"and is at most {PRICE_MAX_USDC_MICROS // USDC_MICROS}"
        ) from None
    if micros == 0:
        raise ValueError("an amount of USDC is more than nothing")
    return micros


UsdcIn = Annotated[
    int,
    BeforeValidator(_usdc_in),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 100_000_000, "multipleOf": 0.01},
                {"type": "string", "pattern": r"^(0*[1-9][0-9]{0,7}(\.[0-9]{1,2})?|0+\.(0[1-9]|[1-9][0-9]?))$"},
            ],
            "examples": [48.5],
        }
    ),
]
"""A price that is asked for: micro-USDC in the program."""

Usdc = Annotated[float, Field(description="USDC with at most two decimals; exact", examples=[48.25])]
Micros = Annotated[
    str, Field(description="The same in whole micro-USDC", pattern=PATTERN_MICROS, examples=["48250000"])
]
Time = Annotated[str, Field(description="UTC, RFC 3339", examples=["2026-11-22T10:00:00.000Z"])]
Id = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")]


def _text(value: str) -> str:
    if not is_normal(value):
        raise ValueError("has invisible or control characters, outer blanks, or is not in Unicode normal form C")
    return value


Plain = AfterValidator(_text)
"""Marks a text that is shown to people."""


@overload
def usdc(micros: int) -> float: ...
@overload
def usdc(micros: int | None) -> float | None: ...
def usdc(micros: int | None) -> float | None:
    """Returns an amount as it goes out. A float holds two decimals of such sums without loss."""
    return None if micros is None else micros / USDC_MICROS


@overload
def micros(amount: int) -> str: ...
@overload
def micros(amount: int | None) -> str | None: ...
def micros(amount: int | None) -> str | None:
    """Returns an amount in micro-USDC as it goes out."""
    return None if amount is None else str(amount)


def money(name: str, amount: int | None) -> dict[str, Any]:
    """Returns an amount for both of a model's fields: `<name>` and `<name>_micros`."""
    return {name: usdc(amount), f"{name}_micros": micros(amount)}


@overload
def iso(at_ms: int) -> str: ...
@overload
def iso(at_ms: int | None) -> str | None: ...
def iso(at_ms: int | None) -> str | None:
    """Returns a time in milliseconds since 1970 as text."""
    if at_ms is None:
        return None
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"


class ProblemBody(Wire):
    """What is wrong (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    status: int = Field(examples=[404])
    title: str = Field(examples=["Not Found"])
    detail: str = Field(examples=["there is no room room_x"])
    code: str = Field(description="A word for programs", examples=["not_found"])
    message: str = Field(description="The same as detail", examples=["there is no room room_x"])
    hint: str = Field(default="", description="What to do", examples=["GET /rooms lists those there are"])


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what the description of an operation says of problems of its own; those of its kind are added there."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}
