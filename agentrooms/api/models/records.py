"""Records of ours as they go out: models made from their types, field by field, in camelCase.

For what is all the same a record (the proof of a deal, an export), where a hand-written model would say nothing more.
An amount in micro-USDC is a string, as everywhere; times stay whole milliseconds, for they are part of what is signed.
"""

from __future__ import annotations

from enum import Enum
from functools import cache, reduce
from operator import or_
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import Field, create_model

from agentrooms.api.models.base import Micros, Wire
from agentrooms.domain.mandate import Mandate

MONEY = "_usdc_micros"
_HEX = ("_hash", "_key", "annex_signature", "attestation", "identity", "session", "signature", "statement", "topic")


@cache
def wire_of(struct: type[msgspec.Struct]) -> type[Wire]:
    """Returns the model of a record, without a field that may hold a mandate."""
    hints = _public(struct)
    fields: dict[str, Any] = {_name(name): (_type(name, hint), ...) for name, hint in hints.items()}
    return create_model(struct.__name__, __base__=Wire, __doc__=struct.__doc__, **fields)


def wired(record: msgspec.Struct) -> Wire:
    """Returns a record as it goes out."""
    values = {name: getattr(record, name) for name in _public(type(record))}
    return wire_of(type(record)).model_validate({_name(name): _value(name, value) for name, value in values.items()})


@cache
def _public(struct: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(struct)
    return {name: hint for name, hint in hints.items() if hint is not Mandate and Mandate not in get_args(hint)}


def _name(name: str) -> str:
    return name.replace(MONEY, "_micros")


def _type(name: str, hint: Any) -> Any:  # noqa: ANN401 - a type expression has no type of its own
    if get_origin(hint) in {Union, UnionType}:
        return reduce(or_, (_type(name, one) for one in get_args(hint)))
    if get_origin(hint) is Annotated:
        return _type(name, get_args(hint)[0])
    if get_origin(hint) is tuple:
        listed = GenericAlias(tuple, (_type(name, get_args(hint)[0]), ...))
        return Annotated[listed, Field(examples=[[]])] if _is_list_of_lists(get_args(hint)[0]) else listed
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return wire_of(hint)
    if hint is int and name.endswith(MONEY):
        return Micros
    if hint is NoneType or hint is bool or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint
    example: Any = 1 if hint is int else "9f" * 32 if name.endswith(_HEX) else name
    return Annotated[hint, Field(examples=[example])] if hint in {int, str} else hint


def _is_list_of_lists(hint: Any) -> bool:  # noqa: ANN401 - the same
    """Tells whether a list has records that have lists of records: the example shows such a list empty."""
    inner = get_type_hints(hint).values() if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else ()
    return any(get_origin(one) is tuple and isinstance(get_args(one)[0], type(msgspec.Struct)) for one in inner)


def _value(name: str, value: object) -> object:
    match value:
        case msgspec.Struct():
            return wired(value)
        case tuple():
            return tuple(_value(name, one) for one in value)
        case bool():
            return value
        case int() if name.endswith(MONEY):
            return str(value)
    return value
