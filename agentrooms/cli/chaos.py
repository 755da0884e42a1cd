"""`agentrooms chaos`: strikes runs and living systems while they work, and checks that nothing of theirs is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import SEED_MAX, Json, Misuse, whole

if TYPE_CHECKING:
    from agentrooms.chaos.campaign import Summary
    from agentrooms.chaos.plan import Mode
    from agentrooms.chaos.seed import Outcome

SEEDS_MAX = 100_000
MODES = ("reproducible", "live")


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("chaos", epilog=examples("agentrooms chaos --seeds 20", "agentrooms chaos --seed 7 --mode live"))(chaos)


def _mode(value: str) -> str:
    if value not in MODES:
        raise Misuse(f"{value!r} is not a mode", f"one of {', '.join(MODES)}")
    return value


def chaos(
    seeds: Annotated[
        int,
        typer.Option("--seeds", metavar="N", help="How many seeds.", parser=whole(1, SEEDS_MAX, "write --seeds 20")),
    ] = 10,
    first: Annotated[
        int,
        typer.Option("--first", metavar="SEED", help="The first seed.", parser=whole(0, SEED_MAX, "write --first 100")),
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="SEED", help="This one seed.", parser=whole(0, SEED_MAX, "write --seed 7")),
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="MODE", help="reproducible or live; by turns.", parser=_mode)
    ] = None,
    json: Json = False,
) -> None:
    """Kill, stop, fence and starve every part of runs and living systems, and check that nothing is lost or doubled.

    On services of its own: a Postgres, a Redis and two Ray nodes. What strikes when follows from the seed; how it hits also depends on the machine. Ends with status 1 when anything is wrong.
    """
    import msgspec

    from agentrooms.chaos.campaign import run_campaign
    from agentrooms.cli.console import emit, talk

    wanted = [seed] if seed is not None else range(first, first + seeds)
    talk("Starting Postgres, Redis and two Ray nodes …")
    modes: dict[str | None, Mode | None] = {None: None, "reproducible": "reproducible", "live": "live"}
    summary = run_campaign(wanted, modes[mode], _tell)
    if json:
        emit(msgspec.to_builtins(summary, str_keys=True))
    else:
        _show(summary)
    if summary.failed:
        raise typer.Exit(1)


def _tell(outcome: Outcome) -> None:
    from agentrooms.cli.console import count, talk

    plan = outcome.plan
    struck = sum(outcome.struck.values())
    state = "FAILED" if outcome.wrong else "ok"
    talk(
        f"{plan.seed:>5} {plan.mode:<12} {state:<6} {outcome.seconds:5.1f} s  {outcome.events:>4} events  "
        f"{count(struck, 'strike')}, {count(outcome.restarts, 'restart')}  {'; '.join(map(str, plan.groups))}"
    )
    for wrong in outcome.wrong:
        talk(f"      {wrong}")
    if outcome.wrong:
        talk(f"      again: agentrooms chaos --seed {plan.seed} --mode {plan.mode}")


def _show(summary: Summary) -> None:
    from agentrooms.cli.console import count, out, table

    shown = table("Strike", ">Times")
    for name, times in summary.struck.items():
        shown.add_row(name, f"{times:,}")
    out().print(shown)
    seeds = ", ".join(f"{many} {mode}" for mode, many in summary.seeds.items())
    out().print(
        f"{seeds} seeds in {summary.seconds:.0f} s: {sum(summary.struck.values()):,} strikes ({summary.missed} came too late), "
        f"{count(summary.restarts, 'restart')}, {count(summary.resumed, 'run')} started again, {count(summary.events, 'event')}; "
        f"{count(len(summary.failed), 'failure')}",
        soft_wrap=True,
    )
