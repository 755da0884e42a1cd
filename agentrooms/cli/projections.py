"""`agentrooms projections`: the tables that are made from the log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentrooms.events.postgres_log import PostgresLog
    from agentrooms.projections.rebuild import Progress


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "projections", "The tables that are made from the log.", "agentrooms projections check")
    group.command("rebuild", epilog=examples("agentrooms projections rebuild"))(rebuild)
    group.command("check", epilog=examples("agentrooms projections check", "agentrooms projections check --json"))(
        check
    )


def rebuild(json: Json = False) -> None:
    """Make all tables anew from the log, beside those in use, then swap them in one step.

    A running system goes on meanwhile. Without one, the database is started for this command.
    """
    import time

    from agentrooms.cli.console import count, emit, out
    from agentrooms.live.access import READ
    from agentrooms.projections import rebuild as tables

    with _log() as (dsn, store), _progress() as progress:
        begun = time.monotonic()
        position = tables.rebuild(store, dsn, READ, progress)
        took_s = time.monotonic() - begun
    if json:
        emit({"position": position, "took_s": round(took_s, 3)})
    else:
        out().print(f"Made the tables anew from {count(position, 'event')} in {took_s:.1f} s.", soft_wrap=True)


def check(json: Json = False) -> None:
    """Make all tables a second time and compare them with those in use, row by row. Exit code 1 when they differ.

    What was said in rooms that were archived long ago may be gone from the tables.
    """
    import msgspec

    from agentrooms.cli.console import clean, emit, out, table
    from agentrooms.jobs.cleanup import archived_rooms
    from agentrooms.live.access import READ
    from agentrooms.projections import check as tables
    from agentrooms.projections.read_rows import READ_TABLES
    from agentrooms.projections.read_views import VIEWS
    from agentrooms.services.settings import load_settings

    archived = archived_rooms(load_settings().agentrooms_data)
    with _log() as (dsn, store), _progress() as progress:
        differences = tables.check(store, dsn, READ, progress, archived)
    if json:
        emit({"equal": not differences, "differences": msgspec.to_builtins(differences)})
    else:
        wrong = {difference.table: difference for difference in differences}
        shown = table("Table", "", "What differs")
        for name in dict.fromkeys([*(read.name for read in READ_TABLES), *VIEWS, "cursor", *wrong]):
            found = wrong.get(name)
            shown.add_row(name, "equal" if found is None else "differs", "" if found is None else clean(str(found)))
        out().print(shown)
    if differences:
        raise typer.Exit(1)


@contextmanager
def _log() -> Iterator[tuple[str, PostgresLog]]:
    """Gives the database of the data folder's system, whether it runs or not, and its log."""
    import psycopg

    from agentrooms.cli.console import talk
    from agentrooms.events.postgres import failure, migrate_log
    from agentrooms.events.postgres_log import PostgresLog
    from agentrooms.live.access import LOG, NotRunning, database
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    if settings.database_url is None and not (settings.agentrooms_data / "format").exists():
        raise NotRunning(
            f"there is no system in {settings.agentrooms_data}",
            hint="make one with `agentrooms up`, or set AGENTROOMS_DATA",
        )
    with database(settings) as (dsn, whose):
        talk(f"Postgres: {whose}.")
        migrate_log(dsn, LOG)
        store = PostgresLog(dsn, LOG)
        try:
            yield dsn, store
        except psycopg.Error as error:
            raise failure("does not answer", error) from error
        finally:
            store.close()


@contextmanager
def _progress() -> Iterator[Progress]:
    """Gives a callback that shows how far the tables are."""
    import time

    from agentrooms.cli.console import err, talk
    from agentrooms.cli.progress import QUIET_S

    moving, said_s = err().is_terminal, time.monotonic()
    with err().status("starting") if moving else _nothing() as status:

        def show(position: int, head: int) -> None:
            nonlocal said_s
            text = f"event {position:,} of {head:,}"
            if status is not None:
                status.update(text)
            elif time.monotonic() - said_s >= QUIET_S:
                said_s = time.monotonic()
                talk(text)

        yield show


@contextmanager
def _nothing() -> Iterator[None]:
    yield None
