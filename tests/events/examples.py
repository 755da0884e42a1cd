"""Example events of every type: drawn ones, and one fixed one a type for golden bytes."""

from __future__ import annotations

import enum
import types
import unicodedata
from typing import Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from agentrooms.domain.event import Event
from agentrooms.events.catalogue import EventType

NFC_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(
    lambda text: unicodedata.normalize("NFC", text)
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def values(type_: Any) -> st.SearchStrategy[Any]:
    """A strategy for any type an event's field may have. Raises TypeError for others, floats among them."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (Union, types.UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: NFC_TEXT,
        int: INTEGERS,
        bool: st.booleans(),
        types.NoneType: st.none(),
    }
    if type_ in simple:
        return simple[type_]
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return st.sampled_from(type_)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return structs(type_)
    raise TypeError(f"an event's field may not be {type_}")


def structs(type_: type[Any]) -> st.SearchStrategy[Any]:
    """A strategy for a struct, field by field."""
    return st.builds(type_, **{field.name: values(field.type) for field in msgspec.structs.fields(type_)})


def events(entry: EventType) -> st.SearchStrategy[Event]:
    """A strategy for one catalogue entry's events."""
    return structs(entry.type)


def fixed(type_: Any, name: str = "") -> Any:
    """One fixed value: texts say which field they stand in, with a character beyond ASCII."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (Union, types.UnionType):
        return fixed(arguments[0], name)
    if origin is tuple:
        return (fixed(arguments[0], name),)
    if origin is dict:
        return {fixed(arguments[0], name): fixed(arguments[1], name)}
    if type_ is str:
        return f"{name} é"
    if type_ is int:
        return len(name)
    if type_ is bool:
        return True
    if issubclass(type_, enum.Enum):
        return next(iter(type_))
    return type_(**{field.name: fixed(field.type, field.name) for field in msgspec.structs.fields(type_)})
