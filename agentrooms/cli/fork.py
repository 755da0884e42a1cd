"""`agentrooms fork` and `agentrooms compare`: what would have happened, and what is different."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Folder, Json, Misuse, Out, run_folder, whole

EVENTS_MAX = 10**9


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command(
        "fork",
        epilog=examples(
            "agentrooms fork runs/a --at 120 --set agent.hsi4cljmqmimm.strategy=patient --out runs/b",
            "agentrooms fork runs/a --at 80 --set agent.jp4x.limit=18000 --set agent.hsyi.style=formal --out runs/c",
            "agentrooms fork runs/a --at 80 --set agent.jp4x.removed=true --out runs/d",
        ),
    )(fork)
    app.command(
        "compare", epilog=examples("agentrooms compare runs/a runs/b", "agentrooms compare runs/a runs/b --json")
    )(compare)


def fork(
    folder: Folder,
    at: Annotated[
        int,
        typer.Option(
            "--at",
            metavar="N",
            help="The last shared event, counted from 1; its whole round is shared.",
            parser=whole(1, EVENTS_MAX),
        ),
    ],
    changes: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="agent.ID.WHAT=VALUE",
            help="strategy=, style=, limit= (USDC) or removed=true; ID may be the beginning of one. Repeatable.",
        ),
    ],
    out: Out,
    json: Json = False,
) -> None:
    """Run an archive again with something changed after event N; everything before stays identical."""
    from agentrooms.cli.console import emit, next_steps
    from agentrooms.cli.console import out as screen
    from agentrooms.cli.progress import run_progress
    from agentrooms.sim import forks

    for change in changes:
        if "=" not in change:
            raise Misuse(f"--set {change!r} is not a change", "write --set agent.ID.strategy=patient")
    with run_progress(quiet=json) as progress:
        manifest = forks.fork(folder, out, at=at, changes=changes, progress=progress)
    parent = manifest.parent
    assert parent is not None
    if json:
        emit(
            {
                "run": manifest.run,
                "out": str(out),
                "head": manifest.head,
                "events": manifest.events,
                "parent": {"folder": str(folder), "head": parent.head, "events": parent.events},
                "changes": changes,
            }
        )
        return
    write = screen().print
    write(f"forked {folder} after event {parent.events}: {manifest.events} events", soft_wrap=True, markup=False)
    write(f"parent {parent.head}", soft_wrap=True)
    write(f"head   {manifest.head}", soft_wrap=True)
    next_steps(
        f"agentrooms compare {folder} {out}",
        f"agentrooms verify {out} --re-execute",
        f"agentrooms replay {out} --at {parent.events}",
    )


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run's folder.", parser=run_folder)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one, such as its fork.", parser=run_folder)],
    json: Json = False,
) -> None:
    """Show where two runs part and what came out differently: deals, prices, who left."""
    from rich.text import Text

    from agentrooms.cli.console import clean, emit, out, table
    from agentrooms.sim.compare import compare as compare_runs

    comparison = compare_runs(first, second)
    if json:
        emit(comparison)
        return
    shown = table("", "What", clean(str(first)), clean(str(second)))
    topic = ""
    for row in comparison.rows():
        shown.add_row(row.topic if row.topic != topic else "", *(Text(clean(t)) for t in (row.what, row.a, row.b)))
        topic = row.topic
    out().print(shown)
