"""Facts of one thing, one a line; shares and times as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentrooms.cli.console import NONE, clean, out, table

if TYPE_CHECKING:
    from rich.table import Table

WIDE_COLUMNS = 100


def wide() -> bool:
    """Tells whether there is room for the columns that one can do without."""
    return out().width >= WIDE_COLUMNS


def table_by_id(*columns: str, ids: Iterable[str]) -> Table:
    """Returns an empty table whose first column shows ids whole, however narrow it is; the second one folds."""
    made = table(*columns)
    made.columns[0].min_width = max(map(len, ids), default=0)
    made.columns[1].overflow = "fold"
    return made


def print_facts(*facts: tuple[str, str]) -> None:
    """Prints names and values in two columns, long values folded below themselves. What has no value is left out."""
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, 2))
    shown.add_column(no_wrap=True, style="dim")
    shown.add_column(overflow="fold")
    for name, value in facts:
        if not value:
            continue
        shown.add_row(name, Text(clean(value)))
    out().print(shown)


def percent(permille: int | None, of: str = "") -> str:
    """Returns a share of 1000 as a percentage with one decimal and what it is of; "" when there is none."""
    if permille is None:
        return ""
    sign, permille = ("-", -permille) if permille < 0 else ("", permille)
    return f"{sign}{permille // 10}.{permille % 10} % {of}".rstrip()


def seconds(ms: int | None) -> str:
    """Returns a length of time in seconds with one decimal, a dash when there is none."""
    return NONE if ms is None else f"{ms / 1_000:,.1f} s"


def at(ms: int | None) -> str:
    """Returns a moment in milliseconds since 1970 as UTC, a dash when there is none."""
    from datetime import UTC, datetime

    return NONE if ms is None else datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
