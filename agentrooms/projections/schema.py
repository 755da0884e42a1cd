"""How a table is declared: each field of its row type carries its meaning, and everything else is read from there.

Frames, exports and docs/data.md all come from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec

from agentrooms.events.record import Recorded

USDC_MICROS = "micro-USDC"
ROUNDS = "rounds"
ROUND = "round number"
MILLISECONDS = "ms since 1970, room time"


class ColumnType(StrEnum):
    """What a column holds. Money is an integer; no column holds a fraction."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


class Note(msgspec.Struct, frozen=True):
    """What stands beside a field of a row type: its meaning, its unit, and what a missing value means."""

    description: str
    unit: str = ""
    null: str = ""


class Column(msgspec.Struct, frozen=True):
    """One column. `null_means` is empty when the column always has a value."""

    name: str
    type: ColumnType
    unit: str
    null_means: str
    description: str


class Table(msgspec.Struct, frozen=True):
    """One table: its row type and the fold that makes its rows. A private one is for the agents' owners only."""

    name: str
    description: str
    row: type[msgspec.Struct]
    rows: Callable[[Iterable[Recorded]], Sequence[msgspec.Struct]]
    private: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of the row type's fields."""
        return columns_of(self.row)


_TYPES = {int: ColumnType.INTEGER, str: ColumnType.TEXT, bool: ColumnType.BOOLEAN}


def columns_of(row: type[msgspec.Struct]) -> tuple[Column, ...]:
    """Returns the columns that a row type's annotated fields declare."""
    hints = get_type_hints(row, include_extras=True)
    return tuple(_column(name, hints[name]) for name in row.__struct_fields__)


def _column(name: str, hint: Any) -> Column:  # noqa: ANN401 - a type expression has no type of its own
    declared, note = get_args(hint)
    kinds = set(get_args(declared) or (declared,))
    nullable = NoneType in kinds
    (kind,) = kinds - {NoneType}
    assert isinstance(note, Note)
    assert nullable == bool(note.null), f"column {name} says what null means exactly when it may be null"
    base = next(base for base in _TYPES if kind is base or (base is str and issubclass(kind, base)))
    return Column(name, _TYPES[base], note.unit, note.null, note.description)
