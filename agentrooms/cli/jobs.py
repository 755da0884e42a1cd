"""`agentrooms jobs`: the work that waits, runs or has ended beside the rooms."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import Json, Misuse, one_of, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentrooms.jobs.queue import Job, JobQueue
    from agentrooms.projections.read_rows import ReadDeal

JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, as `agentrooms jobs list` shows it.")]
QUEUE_NAMES = ("deal-verification", "execution", "notifications", "webhooks", "analytics", "cleanup", "runs")
STATES = ("waiting", "running", "done", "dead")
LISTED = 50


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "jobs", "Work beside the rooms: notifications, runs, clean-up.", "agentrooms jobs list")
    group.command(
        "list",
        epilog=examples(
            "agentrooms jobs list",
            "agentrooms jobs list --queue notifications --state dead",
            "agentrooms jobs list --json",
        ),
    )(list_)
    group.command("show", epilog=examples("agentrooms jobs show simulate_run:run_a"))(show)
    group.command("retry", epilog=examples("agentrooms jobs retry simulate_run:run_a", "agentrooms jobs retry --dead"))(
        retry
    )


def list_(
    queue: Annotated[
        str | None,
        typer.Option("--queue", metavar="QUEUE", help=f"One of {', '.join(QUEUE_NAMES)}.", parser=one_of(*QUEUE_NAMES)),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help=f"One of {', '.join(STATES)}.", parser=one_of(*STATES)),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="At most so many, the newest first.", parser=whole(1, 500))
    ] = LISTED,
    json: Json = False,
) -> None:
    """List jobs. Those of deals are done by the actors of settlement; they are shown as the log has them."""
    from agentrooms.cli.console import emit
    from agentrooms.jobs.catalogue import QUEUES
    from agentrooms.jobs.queue import State

    with _jobs() as (jobs, dsn):
        counts = jobs.counts()
        wanted = queue is None or queue in QUEUES
        found = jobs.jobs(queue=queue, state=State(state) if state else None, limit=limit) if wanted else []
        deals = _deals(dsn, queue) if state in {None, "running"} else []
    if json:
        emit({"counts": counts, "jobs": [_document(job) for job in found], "deals": [_of_deal(deal) for deal in deals]})
        return
    _print_counts(counts)
    _print_jobs(found, deals)


def show(id_: JobId, json: Json = False) -> None:
    """Show one job: what it is for, how far it is, what came of it."""
    from agentrooms.cli.console import emit
    from agentrooms.cli.facts import at, print_facts

    with _jobs() as (jobs, _dsn):
        job = jobs.get(id_)
    if json:
        emit(_document(job))
        return
    print_facts(
        ("Job", job.id),
        ("Queue", job.queue),
        ("Kind", job.kind),
        ("State", f"{job.state}, {_attempts(job)}"),
        ("Made", at(job.made_at_ms)),
        ("Due", at(job.run_at_ms) if job.ended_at_ms is None else ""),
        ("Ended", at(job.ended_at_ms) if job.ended_at_ms is not None else ""),
        ("For", _text(job.payload)),
        ("Progress", _text(job.progress)),
        ("Result", _text(job.result)),
        ("Error", job.error),
    )


def retry(
    id_: Annotated[
        str | None, typer.Argument(metavar="JOB", help="A dead job's id, as `agentrooms jobs list` shows it.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All dead jobs.")] = False,
    json: Json = False,
) -> None:
    """Let a dead job, or all of them, begin anew with all attempts."""
    from agentrooms.cli.console import count, emit, out

    if (id_ is None) != dead:
        raise Misuse("name one job, or --dead for all dead ones", "agentrooms jobs list --state dead")
    with _jobs() as (jobs, _dsn):
        if id_ is None:
            begun = jobs.retry_dead()
        else:
            jobs.retry(id_)
            begun = 1
    if json:
        emit({"retried": begun})
    else:
        out().print(f"{count(begun, 'job')} begun anew.")


@contextmanager
def _jobs() -> Iterator[tuple[JobQueue, str]]:
    """Gives the jobs of the data folder's system, whether it runs or not, and its database."""
    from contextlib import closing

    from agentrooms.cli.console import talk
    from agentrooms.jobs.queue import JobQueue
    from agentrooms.jobs.schema import migrate_jobs
    from agentrooms.live.access import NotRunning, database
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    if settings.database_url is None and not (settings.agentrooms_data / "format").exists():
        raise NotRunning(
            f"there is no system in {settings.agentrooms_data}",
            hint="make one with `agentrooms up`, or set AGENTROOMS_DATA",
        )
    with database(settings) as (dsn, whose):
        talk(f"Postgres: {whose}.")
        migrate_jobs(dsn)
        with closing(JobQueue(dsn)) as jobs:
            yield jobs, dsn


def _deals(dsn: str, queue: str | None) -> list[ReadDeal]:
    """Returns the live deals that a queue, or any, is at work on; none before the tables are made."""
    from agentrooms.live.access import READ
    from agentrooms.projections import queries

    with queries.connect(dsn, READ) as connection:
        if connection.execute("SELECT to_regclass('deals')").fetchone() == (None,):
            return []
        live = [queries.deals(connection, status=status, limit=queries.PAGE_MAX) for status in ("locked", "verifying")]
    return [deal for page in live for deal in page if queue is None or _queue_of(deal) == queue]


def _queue_of(deal: ReadDeal) -> str:
    from agentrooms.jobs.catalogue import DEAL_QUEUES

    return next(queue.name for queue in DEAL_QUEUES if deal.state in queue.states)


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    from agentrooms.cli.console import out, table

    shown = table("Queue", *(f">{state.capitalize()}" for state in STATES))
    for name, found in counts.items():
        shown.add_row(name, *(f"{found.get(state, 0):,}" for state in STATES))
    out().print(shown)


def _print_jobs(jobs: list[Job], deals: list[ReadDeal]) -> None:
    from agentrooms.cli.console import clean, out
    from agentrooms.cli.facts import at, table_by_id

    if not jobs and not deals:
        out().print("No jobs.")
        return
    ids = [*(deal.deal for deal in deals), *(job.id for job in jobs)]
    shown = table_by_id("Job", "Queue", "State", "Made", "What", ids=ids)
    for deal in deals:
        shown.add_row(
            deal.deal, _queue_of(deal), "running", at(deal.locked_at_ms), "a deal: see `agentrooms deal show`"
        )
    for job in jobs:
        told = job.error or _text(job.result) or _text(job.progress)
        shown.add_row(clean(job.id), job.queue, f"{job.state}, {_attempts(job)}", at(job.made_at_ms), clean(told))
    out().print(shown)


def _document(job: Job) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(job)
    return document


def _of_deal(deal: ReadDeal) -> dict[str, Any]:
    return {"deal": deal.deal, "queue": _queue_of(deal), "state": deal.state, "locked_at_ms": deal.locked_at_ms}


def _attempts(job: Job) -> str:
    from agentrooms.jobs.catalogue import QUEUES

    return f"attempt {job.attempts} of {QUEUES[job.queue].attempts}"


def _text(document: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in document.items())
