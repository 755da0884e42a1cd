"""Writes docs/read-models.md from the declared tables: `python -m agentrooms.projections.read_docs > docs/read-models.md`."""

from __future__ import annotations

import sys
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec

from agentrooms.projections.read_rows import READ_TABLES, ReadTable
from agentrooms.projections.read_views import VIEWS
from agentrooms.projections.schema import Note

_HEAD = """# Read models

<!-- Made by `python -m agentrooms.projections.read_docs > docs/read-models.md` from the declared tables. Do not edit. -->

What rooms, agents, deals and swarms look like now, as tables in Postgres, schema `read`. A projector folds the log into
them with the same functions that make the tables of an archive ([data.md](data.md)). They can be dropped and made
anew at any time; the log alone is the truth.

- **text** compares byte by byte (`COLLATE "C"`); money is whole micro-USDC in `bigint` columns named `_usdc_micros`; times
  are milliseconds since 1970 in columns named `_at_ms` and, like all times of a room, room time.
- **null** stands only where the column `null means` says so.
- Ids are the derived texts of the log. There are no foreign keys: every key a row names stands in the log it came from.
- **No limit is here.** A mandate's limit, its start price and a seller's maximum are known to its owner and, by their hash,
  to the vault alone; so the columns `min_price`, `max_price` and `starting_price` that one might look for in `agents` do
  not exist. `first_price_usdc_micros` is the first price the agent said aloud. Why an act was decided (`acts.explained`)
  is private, too: the projector does not even read those events.
- There is no picture of an item in the log, so `nfts` has none.

## How it keeps up

Rows and the cursor are written in one transaction, and only whoever moves the cursor from where it was may write. So
each event has its effect once, whatever dies when; a second projector does no harm. A projector is woken by the log's
notification and looks by itself every second. An event that it cannot turn into rows stops it: `cursor` says which one and
why, the tables hold all before it.

A rebuild fills `read_next` from the first event on, then swaps it with `read` in one transaction while readers and the
live projector go on. A projector notices by the epoch that the tables are new.

## cursor

One row: `position` (last event of the log that the tables hold), `epoch` (grows by one with every rebuild),
`failed_position` and `failure` (the event that stops the projection, and why; null when it runs).
"""

_EXTRA = {
    "deals": "`status` is `state` in the PRD's words: `executing` is shown as `verifying`.",
    "messages": "`sentiment` is `mood` in the PRD's words: calm is neutral, annoyed and desperate are negative, keen and "
    "pleased are positive.",
}


def page() -> str:
    """Returns the whole page."""
    parts = [_HEAD]
    for table in READ_TABLES:
        parts += _section(table.name, table.row, f"{table.description} {_keys(table)}", _EXTRA.get(table.name))
    for name, row in VIEWS.items():
        parts += _section(name, row, f"A view. {row.__doc__}", None)
    return "\n".join(parts)


def _keys(table: ReadTable) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    return f"Key: {key}." + (" Rows never change." if table.appended else "")


def _section(name: str, row: type[msgspec.Struct], text: str, extra: str | None) -> list[str]:
    hints = get_type_hints(row, include_extras=True)
    lines = [_line(field, hints[field]) for field in row.__struct_fields__]
    head = ["| column | type | unit | null means | meaning |", "|---|---|---|---|---|"]
    return [f"## {name}", "", text, *([extra] if extra else []), "", *head, *lines, ""]


def _line(name: str, hint: Any) -> str:  # noqa: ANN401 -- a type expression has no type of its own
    declared, note = get_args(hint)
    assert isinstance(note, Note)
    type_, null = sql_type(declared)
    assert null == bool(note.null), f"column {name} says what null means exactly when it may be null"
    return f"| `{name}` | {type_} | {note.unit} | {note.null or 'never null'} | {note.description} |"


def sql_type(declared: Any) -> tuple[str, bool]:  # noqa: ANN401 -- the same
    """Returns the Postgres type of a declared column, and whether it may be null."""
    kinds = [declared] if isinstance(declared, type) else [k for k in get_args(declared) if k is not NoneType]
    null = NoneType in get_args(declared)
    (kind,) = kinds
    if kind is int:
        return "bigint", null
    return ("text" if isinstance(kind, type) and issubclass(kind, str) else "jsonb"), null


if __name__ == "__main__":
    sys.stdout.write(page())
