"""`agentrooms backup` and `agentrooms restore`: an installation as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Json

if TYPE_CHECKING:
    from agentrooms.services.backup import Manifest
    from agentrooms.services.folder import DataFolder

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The data folder. Without it, AGENTROOMS_DATA.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("backup", epilog=examples("agentrooms backup --out agentrooms.backup"))(backup)
    app.command("restore", epilog=examples("agentrooms restore agentrooms.backup --data new"))(restore)


def backup(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write; it must not exist.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Write the log, the vault, the read models, the devnet and the secret to one file, also while the system runs.

    The file holds secrets: whoever has it can act for this installation.
    """
    from agentrooms.cli.console import talk
    from agentrooms.live.copying import copy_files
    from agentrooms.services import backup as service

    folder, url = _installation(data)
    manifest = service.backup(folder, url, out, copy_files, lambda whose: talk(f"Postgres: {whose}."))
    _report(manifest, json=json)
    if not json:
        talk(f"{out} holds the log up to position {manifest.head}")


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `agentrooms backup` wrote, by somebody you trust.")
    ],
    data: Data = None,
    json: Json = False,
) -> None:
    """Fill a new data folder from a backup; with DATABASE_URL, an empty database.

    A folder or database that is in use is never overwritten.
    """
    from agentrooms.cli.console import talk
    from agentrooms.services import backup as service

    folder, url = _installation(data)
    into = "DATABASE_URL" if url is not None else f"a new one in {folder.path}"
    talk(f"Postgres: {into}. No running system is asked.")
    manifest = service.restore(file, folder, url)
    _report(manifest, json=json)
    if not json:
        talk(f"{folder.path} holds the log up to position {manifest.head}")


def _installation(data: Path | None) -> tuple[DataFolder, str | None]:
    from agentrooms.services.folder import DataFolder
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    url = settings.database_url
    return DataFolder(data or settings.agentrooms_data), None if url is None else url.get_secret_value()


def _report(manifest: Manifest, *, json: bool) -> None:
    import msgspec

    from agentrooms.cli.console import emit

    if json:
        emit(msgspec.to_builtins(manifest))
