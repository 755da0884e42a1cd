"""`agentrooms export`: an archive as tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Folder, Json, new_folder, one_of


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "export",
        epilog=examples(
            "agentrooms export runs/a --format csv --out tables",
            "agentrooms export runs/a --format parquet --table deals --table quotes --out tables",
            "agentrooms export runs/a --format ndjson --private --out tables --json",
        ),
    )(export)


def export(
    folder: Folder,
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="ndjson, csv or parquet.", parser=one_of("ndjson", "csv", "parquet")
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the files go, one a table.", parser=new_folder)
    ],
    tables: Annotated[
        list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table. Repeatable.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Also what is for agents' owners only: limits and reasons.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    json: Json = False,
) -> None:
    """Write a run's tables as files: messages, quotes, deals, agents, floor path and more.

    docs/data.md says what each column means.
    """
    from agentrooms.cli.console import count, emit, talk
    from agentrooms.cli.console import out as screen
    from agentrooms.sim.export import export as write

    kind = cast("Literal['ndjson', 'csv', 'parquet']", format)
    files = write(folder, out, kind, tables or None, private=private, force=force)
    if json:
        emit({"format": format, "files": [{"path": str(file), "bytes": file.stat().st_size} for file in files]})
        return
    for file in files:
        screen().print(str(file), soft_wrap=True, markup=False)
    talk(f"{count(len(files), 'file')} written")
