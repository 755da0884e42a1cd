"""Exports: what is written reads back as the frame, and nothing secret or existing is touched unasked."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl
import pytest

from agentrooms import Run
from agentrooms.errors import InvalidInput
from agentrooms.projections import messages
from agentrooms.projections.example import example_log
from agentrooms.sim import export as export_module
from agentrooms.sim.export import export

PUBLIC = ["messages", "quotes", "deals", "agents", "floor_path"]
PRIVATE = ["reasons", "mandates"]


def read(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a file back, by means that are not ours."""
    match path.suffix:
        case ".parquet":
            return pl.read_parquet(path)
        case ".ndjson":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            assert all(list(row) == schema.names() for row in rows)
            return pl.DataFrame(rows, schema=schema)
    return pl.read_csv(path, schema=schema)


@pytest.mark.parametrize("format", ["ndjson", "csv", "parquet"])
def test_files_hold_the_frames(run: Run, tmp_path: Path, format: Literal["ndjson", "csv", "parquet"]) -> None:
    """Every column, type, null and empty text."""
    files = export(run.path, tmp_path / "out", format, private=True)
    assert [file.name for file in files] == [f"{name}.{format}" for name in [*PUBLIC, *PRIVATE]]
    for file in files:
        expected = run.frame(file.stem)
        assert read(file, expected.schema).equals(expected), file.name


def test_csv_tells_empty_texts_from_nulls_and_keeps_any_text(tmp_path: Path) -> None:
    """A message may begin like a formula, hold quotes and line breaks; it is written as it is."""
    text = '=1+1, "said" he\nand left'
    log, _mandates = example_log()
    row = msgspec.structs.replace(messages.rows(log)[0], room="", token_id=None, text=text)
    written = export_module._encoded(messages.TABLE, [row], "csv").decode()
    path = tmp_path / "messages.csv"
    path.write_text(written, encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as lines:
        assert list(csv.reader(lines))[1][-1] == text
    assert written.splitlines()[1].startswith('"",8,8,2,')
    assert ',,,,"calm",' in written


def test_private_tables_stay_unless_asked_for(run: Run, tmp_path: Path) -> None:
    assert [file.stem for file in export(run.path, tmp_path / "a", "csv")] == PUBLIC
    for name in PRIVATE:
        with pytest.raises(InvalidInput, match=f"{name} is private"):
            export(run.path, tmp_path / "b", "csv", [name])
    assert not (tmp_path / "b").exists()
    assert [file.stem for file in export(run.path, tmp_path / "c", "csv", ["mandates"], private=True)] == ["mandates"]


def test_no_limit_is_in_a_public_export(run: Run, tmp_path: Path) -> None:
    """Unless it was said aloud, as a price."""
    limits = set(run.mandates()["limit_usdc_micros"])
    said = {p for p in run.messages()["price_usdc_micros"] if p is not None}
    for file in export(run.path, tmp_path, "ndjson"):
        values = {v for line in file.read_text(encoding="utf-8").splitlines() for v in json.loads(line).values()}
        assert not (limits - said) & values


def test_nothing_is_overwritten_unless_told(run: Run, tmp_path: Path) -> None:
    """And then nothing else is written either."""
    (tmp_path / "deals.csv").write_text("mine")
    with pytest.raises(InvalidInput, match=r"holds deals\.csv already"):
        export(run.path, tmp_path, "csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("deals.csv", "mine")]
    export(run.path, tmp_path, "csv", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.csv" for name in PUBLIC)
    assert (tmp_path / "deals.csv").read_text().startswith('"room"')


def test_a_failed_write_leaves_no_draft(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        export(run.path, tmp_path, "csv", ["deals"])
    assert list(tmp_path.iterdir()) == []


def test_wrong_words_are_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'xlsx' is not an export format"):
        export(run.path, tmp_path, "xlsx")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="'trades' is not a table"):
        export(run.path, tmp_path, "csv", ["trades"])
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="is not a folder"):
        export(run.path, tmp_path / "file", "csv")
