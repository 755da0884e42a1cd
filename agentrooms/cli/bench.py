"""`agentrooms bench`: how fast the core is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import SEED_MAX, Json, Misuse, whole

SEEDS_MAX = 20


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("bench", epilog=examples("agentrooms bench", "agentrooms bench --quick --seeds 1,2,3 --json"))(bench)


def _seeds(value: str) -> str:
    """Reads a list of seeds; it stays a text, since Typer has no lists within one value."""
    read = whole(0, SEED_MAX, "write seeds as 1,2,3")
    parts = value.split(",")
    if len(parts) > SEEDS_MAX:
        raise Misuse(f"{len(parts)} seeds are too many", f"name at most {SEEDS_MAX}")
    return ",".join(str(read(part)) for part in parts)


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Small swarms only: shows that the bench works.")] = False,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="N,N,…", help="The runs that are measured.", parser=_seeds)
    ] = "1,2,3",
    json: Json = False,
) -> None:
    """Measure turns of agents, posted acts, negotiations, replay and verification a second, in one process.

    A turn is one look of an agent at its market, whether it then speaks or not. Event rates stand beside a baseline of the same run: encoding and hashing the same log, and no more.
    """
    import platform

    import msgspec

    from agentrooms.cli.console import NONE, emit, out, table
    from agentrooms.cli.progress import step_progress
    from agentrooms.sim.bench import run_bench

    numbers = [int(seed) for seed in seeds.split(",")]
    with step_progress(quiet=json) as step:
        report = run_bench(numbers, quick=quick, progress=step)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    if json:
        emit({"quick": quick, "machine": machine, "rows": msgspec.to_builtins(report.rows)})
        return
    shown = table("Measured", ">A second", "", ">Aim", ">Of baseline", ">Events each", ">Count", ">Seconds")
    for row in report.rows:
        shown.add_row(
            row.name,
            f"{row.per_second:,}",
            row.unit,
            NONE if row.aim is None else f"{row.aim:,}",
            NONE if row.ratio_permille is None else f"{row.ratio_permille / 1000:.2f}",
            NONE if row.events_permille is None else f"{row.events_permille / 1000:.2f}",
            f"{row.count:,}",
            f"{row.seconds_micros / 1_000_000:.2f}",
        )
    out().print(shown)
    about = f"Python {machine['python']} on {machine['system']} {machine['machine']}, seeds {seeds}"
    out().print(about, style="dim", soft_wrap=True)
