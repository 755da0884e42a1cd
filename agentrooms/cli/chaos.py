"""`agentrooms chaos`: strikes runs and living systems while they work, and checks that nothing of theirs is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import SEED_MAX, Json, Misuse, whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrooms.chaos.campaign import Summary
    from agentrooms.chaos.plan import Mode
    from agentrooms.chaos.seed import Outcome
    from agentrooms.chaos.settling import MatrixSummary, Struck
    from agentrooms.chaos.watching import Watched, WatchedSummary

SEEDS_MAX = 100_000
SEEDS = 10
SETTLEMENT = "settlement"  # pairs instead of seeds
SOCKETS = "sockets"
MODES = ("reproducible", "live", SETTLEMENT, SOCKETS)


EXAMPLES = (
    "agentrooms chaos --seeds 20",
    "agentrooms chaos --seed 7 --mode live",
    "agentrooms chaos --mode settlement",
    "agentrooms chaos --mode sockets --seeds 5",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("chaos", epilog=examples(*EXAMPLES))(chaos)


def _mode(value: str) -> str:
    if value not in MODES:
        raise Misuse(f"{value!r} is not a mode", f"one of {', '.join(MODES)}")
    return value


def chaos(
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            metavar="N",
            help=f"How many seeds; {SEEDS} by default, of settlement all pairs.",
            parser=whole(1, SEEDS_MAX, "write --seeds 20"),
        ),
    ] = None,
    first: Annotated[
        int,
        typer.Option("--first", metavar="SEED", help="The first seed.", parser=whole(0, SEED_MAX, "write --first 100")),
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="SEED", help="This one seed.", parser=whole(0, SEED_MAX, "write --seed 7")),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="reproducible or live (by default by turns); settlement: whoever settles dies at each step of a deal; "
            "sockets: clients of two API processes watch while swarms trade.",
            parser=_mode,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Kill, stop, fence and starve every part of runs and living systems, and check that nothing is lost or doubled.

    On services of its own: a Postgres, a Redis and two Ray nodes. What strikes when follows from the seed; how it hits also depends on the machine. Ends with status 1 when anything is wrong.
    """
    import msgspec

    from agentrooms.chaos.campaign import run_campaign
    from agentrooms.cli.console import emit, talk

    talk("Starting Postgres, Redis and two Ray nodes …")
    if mode == SETTLEMENT:
        _settlement(seed, first, seeds, json=json)
        return
    wanted = [seed] if seed is not None else range(first, first + (seeds or SEEDS))
    if mode == SOCKETS:
        _sockets(wanted, json=json)
        return
    modes: dict[str | None, Mode | None] = {None: None, "reproducible": "reproducible", "live": "live"}
    summary = run_campaign(wanted, modes[mode], _tell)
    if json:
        emit(msgspec.to_builtins(summary, str_keys=True))
    else:
        _show(summary)
    if summary.failed:
        raise typer.Exit(1)


def _settlement(number: int | None, first: int, count: int | None, *, json: bool) -> None:
    """Strikes pairs of a victim and a step, all or some of them."""
    import msgspec

    from agentrooms.chaos.matrix import PAIRS
    from agentrooms.chaos.settling import run_matrix
    from agentrooms.cli.console import emit

    summary = run_matrix([number] if number is not None else range(first, first + (count or PAIRS)), _tell_pair)
    if json:
        emit(msgspec.to_builtins(summary))
    else:
        _show_pairs(summary)
    if summary.failed or summary.wrong or summary.missed:
        raise typer.Exit(1)


def _tell_pair(struck: Struck) -> None:
    from agentrooms.cli.console import talk

    state = "FAILED" if struck.wrong else "ok" if struck.hit else "missed"
    talk(
        f"{struck.number:>5} {state:<6} {struck.seconds:5.1f} s  {struck.end or 'no end':<13}  {struck.victim} at: {struck.step}"
    )
    for wrong in struck.wrong:
        talk(f"      {wrong}")
    if struck.wrong:
        talk(f"      again: agentrooms chaos --seed {struck.number} --mode {SETTLEMENT}")


def _show_pairs(summary: MatrixSummary) -> None:
    from agentrooms.cli.console import count, out

    for wrong in summary.wrong:
        out().print(wrong, soft_wrap=True)
    out().print(
        f"{count(summary.pairs, 'pair')} in {summary.seconds:.0f} s, the longest in {summary.longest_s:.1f} s: "
        f"{count(summary.completed, 'deal')} completed, {summary.expired} not, {count(summary.executed, 'execution')} on the chain, "
        f"{summary.missed} missed; {count(len(summary.failed), 'failure')}",
        soft_wrap=True,
    )


def _sockets(seeds: Iterable[int], *, json: bool) -> None:
    """Strikes between the log and those who watch rooms."""
    import msgspec

    from agentrooms.chaos.watching import watch_seeds
    from agentrooms.cli.console import emit

    summary = watch_seeds(seeds, _tell_watched)
    if json:
        emit(msgspec.to_builtins(summary))
    else:
        _show_watched(summary)
    if summary.failed:
        raise typer.Exit(1)


def _tell_watched(watched: Watched) -> None:
    from agentrooms.cli.console import count, talk

    seed, state = watched.plan.seed, "FAILED" if watched.wrong else "ok"
    talk(
        f"{seed:>5} {state:<6} {watched.seconds:5.1f} s  {watched.events:>5} events  {count(watched.clients, 'client')} with "
        f"{count(watched.frames, 'frame')}; {', '.join(fault.what for fault in watched.plan.faults)}"
    )
    for wrong in watched.wrong:
        talk(f"      {wrong}")
    if watched.wrong:
        talk(f"      again: agentrooms chaos --seed {seed} --mode {SOCKETS}")


def _show_watched(summary: WatchedSummary) -> None:
    from agentrooms.cli.console import count, out, table

    shown = table("Fault", ">Times")
    for name, times in summary.struck.items():
        shown.add_row(name, f"{times:,}")
    out().print(shown)
    out().print(
        f"{count(summary.seeds, 'seed')} in {summary.seconds:.0f} s: {count(summary.clients, 'client')} compared "
        f"{count(summary.frames, 'frame')} with the logs of {count(summary.events, 'event')}; "
        f"{count(summary.frames_lost, 'frame')} lost on the way, {summary.missed} faults had no victim; "
        f"{count(len(summary.failed), 'failure')}",
        soft_wrap=True,
    )


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
