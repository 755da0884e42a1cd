"""`agentrooms export`: a run's archive as tables for other programs, or a live room as an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Json, Misuse, new_folder, one_of, run_folder, whole

if TYPE_CHECKING:
    from agentrooms.sim.live_archive import RoomManifest

ROOM = "room:"
SEQ_MAX = 10**12


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "export",
        epilog=examples(
            "agentrooms export runs/a --format csv --out tables",
            "agentrooms export runs/a --format parquet --table deals --table quotes --out tables",
            "agentrooms export runs/a --format ndjson --private --out tables --json",
            "agentrooms export room:room_x --from 1 --to 500 --out archives/x",
        ),
    )(export)


def _source(value: str | Path) -> str:
    """Reads a run's folder, or `room:` and the id of a live room."""
    text = str(value)
    if not text.startswith(ROOM):
        return str(run_folder(value))
    if not text.removeprefix(ROOM):
        raise Misuse(f"{text!r} names no room", "`agentrooms room list` shows ids; write room:ID")
    return text


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="DIR|room:ID", help="A run's folder, or a room of the running system.", parser=_source),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.", parser=new_folder)],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Of a run's tables: ndjson, csv or parquet.",
            parser=one_of("ndjson", "csv", "parquet"),
        ),
    ] = None,
    tables: Annotated[
        list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table. Repeatable.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Also what is for agents' owners only: limits and reasons.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    first: Annotated[
        int | None,
        typer.Option(
            "--from", metavar="N", help="Of a room: its first event, 1 when left out.", parser=whole(1, SEQ_MAX)
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="M", help="Of a room: its last event, the newest when left out.", parser=whole(1, SEQ_MAX)
        ),
    ] = None,
    open_limits: Annotated[
        bool,
        typer.Option("--open-limits", help="Of a room: with all agents' limits and the room's key. Secret."),
    ] = False,
    json: Json = False,
) -> None:
    """Write a run's tables as files: messages, quotes, deals, agents, floor path and more.

    docs/data.md says what each column means. Or write a room of the running system as an archive that
    `agentrooms verify` checks: sealed, or with its limits opened.
    """
    of_run = {"--format": format, "--table": tables, "--private": private, "--force": force}
    of_room = {"--from": first, "--to": last, "--open-limits": open_limits}
    if source.startswith(ROOM):
        _refuse(of_run, "the tables of a run's folder")
        _export_room(source.removeprefix(ROOM), out, first or 1, last, opened=open_limits, json=json)
        return
    _refuse(of_room, "a room of the running system (room:ID)")
    if format is None:
        raise Misuse("--format is missing", "--format ndjson, csv or parquet")
    _export_tables(Path(source), out, format, tables, private=private, force=force, json=json)


def _refuse(options: Mapping[str, object], other: str) -> None:
    """Finds options of the other kind of export. Raises Misuse."""
    for name, value in options.items():
        if value:
            raise Misuse(f"{name} is for {other}", "`agentrooms export --help` shows which belongs to what")


def _export_tables(
    folder: Path, out: Path, format: str, tables: list[str] | None, *, private: bool, force: bool, json: bool
) -> None:
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


def _export_room(room: str, out: Path, first: int, last: int | None, *, opened: bool, json: bool) -> None:
    from agentrooms.cli.console import count, emit, talk
    from agentrooms.cli.console import out as screen
    from agentrooms.live.access import live_log
    from agentrooms.sim.live_archive import export_room

    with live_log() as log:
        talk(f"Postgres: {log.whose}.")
        key = log.room_key(room) if opened else None
        manifest = export_room(
            log.store,
            log.vault,
            room,
            first=first,
            last=last,
            opened=opened,
            key=log.signing_key(),
            room_key=key,
            out=out,
        )
    if json:
        emit(_document(room, out, manifest, opened=opened))
        return
    lines = count(manifest.last - manifest.first + 1, "event")
    hidden = f", {manifest.redacted} of them redacted" if manifest.redacted else ""
    screen().print(str(out), soft_wrap=True, markup=False)
    talk(f"{lines} of {room}{hidden}; head {manifest.head}; signed by {manifest.public_key}")
    talk("it holds all limits of its agents: keep it secret" if opened else "sealed: it holds no limit")


def _document(room: str, out: Path, manifest: RoomManifest, *, opened: bool) -> dict[str, str | int]:
    return {
        "folder": str(out),
        "room": room,
        "from": manifest.first,
        "to": manifest.last,
        "opened": opened,
        "redacted": manifest.redacted,
        "head": manifest.head,
        "key": manifest.public_key,
    }
