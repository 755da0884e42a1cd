"""Exports an archive's tables as files, one a table: NDJSON, CSV or Parquet.

NDJSON and CSV are written here, so their bytes depend on no library: rows in the log's order, columns
in the order docs/data.md declares, UTF-8, lines ending in a line feed. In CSV every text stands in
double quotes and a missing value is an empty field without quotes, so that it differs from an empty text.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec

from agentrooms.errors import InvalidInput
from agentrooms.projections.schema import Table
from agentrooms.sim import folders
from agentrooms.sim.run import Run, frame

Format = Literal["ndjson", "csv", "parquet"]
FORMATS: tuple[str, ...] = get_args(Format)


def export(
    folder: Path,
    out: Path,
    format: Format,
    tables: Sequence[str] | None = None,
    *,
    private: bool = False,
    force: bool = False,
) -> list[Path]:
    """Writes tables of an archive into the folder `out` and returns the files written.

    Without names all tables are written; `reasons` and `mandates` only with `private`. Raises
    InvalidInput for an unknown format or table, for a private one without leave, and when a file is
    in the way without `force`; then nothing is written.
    """
    if format not in FORMATS:
        raise InvalidInput(f"{format!r} is not an export format", hint=f"one of {', '.join(FORMATS)}")
    run = Run.open(folder)
    chosen = _chosen(run, tables, private=private)
    folders.require_writable(out)
    files = [out / f"{table.name}.{format}" for table in chosen]
    taken = [file.name for file in files if file.exists()]
    if taken and not force:
        raise InvalidInput(f"{out} holds {', '.join(taken)} already", hint="choose another folder, or overwrite it")
    out.mkdir(parents=True, exist_ok=True)
    for table, file in zip(chosen, files, strict=True):
        _replace(file, _encoded(table, table.rows(run), format))
    return files


def _chosen(run: Run, names: Sequence[str] | None, *, private: bool) -> list[Table]:
    if names is None:
        return [table for table in run.tables() if private or not table.private]
    chosen = [run.table(name) for name in dict.fromkeys(names)]
    secret = [table.name for table in chosen if table.private]
    if secret and not private:
        raise InvalidInput(f"{', '.join(secret)} is private to the agents' owners", hint="ask for private tables too")
    return chosen


def _encoded(table: Table, rows: Sequence[msgspec.Struct], format: Format) -> bytes:
    match format:
        case "ndjson":
            return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        case "csv":
            names = [column.name for column in table.columns]
            fields = (msgspec.to_builtins(row) for row in rows)
            lines = [names, *([row[name] for name in names] for row in fields)]
            return "".join(",".join(map(_field, line)) + "\n" for line in lines).encode()
        case "parquet":
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, table.name)
                frame(table, rows).write_parquet(path)
                return path.read_bytes()


def _field(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _replace(file: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    handle, draft = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(draft).chmod(0o644)
        Path(draft).replace(file)
    except BaseException:  # also on Ctrl-C: no half file stays
        Path(draft).unlink(missing_ok=True)
        raise
