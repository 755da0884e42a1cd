"""The pages for researchers are true: made from the schemas, their examples executed."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

from agentrooms.projections.docs import page
from agentrooms.projections.example import ROOM, example_log
from agentrooms.projections.tables import TABLES
from agentrooms.sim.metrics import measure

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_data_page_is_what_the_tables_declare() -> None:
    """After a change: `python -m agentrooms.projections.docs > docs/data.md`."""
    assert (DOCS / "data.md").read_text(encoding="utf-8") == page()


def test_the_data_page_can_be_made_by_hand() -> None:
    made = subprocess.run([sys.executable, "-m", "agentrooms.projections.docs"], capture_output=True, check=True)
    assert made.stdout.decode() == page()


def test_tables_have_rows_whose_fields_are_the_columns() -> None:
    log, _mandates = example_log()
    for table in TABLES:
        rows = table.rows(log)
        assert rows
        assert {type(row) for row in rows} == {table.row}
        assert [column.name for column in table.columns] == list(table.row.__struct_fields__)


def test_the_metrics_page_explains_each_figure() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    log, mandates = example_log()
    headings = "\n".join(line for line in text.splitlines() if line.startswith("### "))
    assert re.findall(r"`([a-z_]+)`", headings) == list(measure(log, mandates, ROOM))


def test_the_worked_examples_come_out() -> None:
    """One session, from top to bottom."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "metrics.md", None, 0)
    said: list[str] = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert (results.failed, "".join(said)) == (0, "")
    assert results.attempted > 20
