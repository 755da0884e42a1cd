"""Writes docs/data.md from the declared tables: `python -m agentrooms.projections.docs > docs/data.md`."""

from __future__ import annotations

import json
import sys
from itertools import chain

import msgspec

from agentrooms.projections import mandates
from agentrooms.projections.example import example_log
from agentrooms.projections.schema import Table
from agentrooms.projections.tables import TABLES

_HEAD = """# Data

<!-- Made by `python -m agentrooms.projections.docs > docs/data.md` from the declared tables. Do not edit. -->

What an archive holds as tables: `agentrooms.Run.open(folder)` gives them as polars frames (`run.quotes()`),
`agentrooms export` writes them as files, one a table. Names, types and order of columns are the same everywhere.

- **integer** is a 64-bit integer (polars `Int64`). Money is whole micro-USDC (1 USDC = 1 000 000), never a fraction.
- **text** is UTF-8 in Unicode normal form C (polars `String`); **boolean** is polars `Boolean`.
- **null** stands only where the column `null means` says so; an empty text is a value, not null.
- *Rounds* count from the room's opening, which is round 0. *Events* count from 1 in `events.ndjson`: `run.at(n)` is
  the room after the first n.
- Rows stand in the log's order.

| format | how it is written |
|---|---|
| `ndjson` | one JSON object a line, keys in column order, null as `null` |
| `csv` | RFC 4180 with line feeds: a header, every text in double quotes (a quote within is doubled), null as an empty field without quotes, booleans as `true` and `false` |
| `parquet` | polars' own types |

Words of agents go into CSV unchanged. A spreadsheet may take a text that begins with `=`, `+`, `-` or `@` for a
formula, quoted or not: import such a column as text, or use another format.

Tables marked *private* show why agents acted and what their limits were. An export leaves them out unless it is asked
for them, and a live room's archive holds no limits at all.
"""


def page() -> str:
    """Returns the whole page."""
    events, mandate_of = example_log()
    tables = (*TABLES, mandates.table(mandate_of))
    return "\n".join(chain([_HEAD], *(_section(table, table.rows(events)[0]) for table in tables)))


def _section(table: Table, example: msgspec.Struct) -> list[str]:
    mark = " (private)" if table.private else ""
    values = msgspec.to_builtins(example)
    lines = [
        f"| `{column.name}` | {column.type} | {column.unit} | {column.null_means or 'never null'} "
        f"| {column.description} | {_shown(values[column.name])} |"
        for column in table.columns
    ]
    head = ["| column | type | unit | null means | meaning | example |", "|---|---|---|---|---|---|"]
    return [f"## {table.name}{mark}", "", table.description, "", *head, *lines, ""]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= 40 else text[:28] + '…' + text[-1]}`"


if __name__ == "__main__":
    sys.stdout.write(page())
