"""`agentrooms swarm`: reproducible runs of many agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import (
    Json,
    Misuse,
    Seed,
    exchange_rate,
    fresh_seed,
    new_folder,
    preset_name,
    side_size,
    whole,
)


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = typer.Typer(help="Run swarms of agents, reproducibly.", rich_markup_mode="rich")
    group.callback(invoke_without_command=True, epilog=examples("agentrooms swarm run small_test --seed 7"))(_root)
    group.command(
        "run",
        epilog=examples(
            "agentrooms swarm run balanced_market --seed 7 --out runs/a",
            "agentrooms swarm run --buyers 40 --sellers 25 --seed 1 --out runs/large",
            "agentrooms swarm run small_test --seed 7 --json",
        ),
    )(run)
    group.command("presets", epilog=examples("agentrooms swarm presets", "agentrooms swarm presets --json"))(presets)
    app.add_typer(group, name="swarm")


def _root(ctx: typer.Context) -> None:
    """Run swarms of agents, reproducibly."""
    if ctx.invoked_subcommand is None:
        ctx.get_help()


def run(
    preset: Annotated[
        str | None,
        typer.Argument(metavar="PRESET", help="A size by name; see `swarm presets`.", parser=preset_name),
    ] = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A new or empty folder.", parser=new_folder)
    ] = None,
    buyers: Annotated[
        int | None,
        typer.Option("--buyers", metavar="N", help="Instead of a preset.", parser=side_size),
    ] = None,
    sellers: Annotated[
        int | None,
        typer.Option("--sellers", metavar="N", help="Instead of a preset.", parser=side_size),
    ] = None,
    usdc_per_eth: Annotated[
        int | None,
        typer.Option("--usdc-per-eth", metavar="N", help="Scales the real sales data.", parser=exchange_rate),
    ] = None,
    underfunded: Annotated[
        int,
        typer.Option(
            "--underfunded",
            metavar="PERMILLE",
            help="So many of 1000 buyers cannot pay in the end.",
            parser=whole(0, 1000),
        ),
    ] = 0,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and --json).")] = False,
) -> None:
    """Run a swarm in virtual time until its room is empty: the same seed gives the same bytes.

    With --out the run becomes an archive that can be verified, replayed, forked and exported.
    """
    import msgspec

    from agentrooms.cli.console import emit, next_steps, talk
    from agentrooms.cli.progress import run_progress
    from agentrooms.cli.report import print_run, run_document
    from agentrooms.sim import archive, folders
    from agentrooms.sim.engine import Engine
    from agentrooms.sim.settings import RunSettings, custom
    from agentrooms.sim.settings import preset as of_preset

    chosen = fresh_seed() if seed is None else seed
    settings: RunSettings
    if preset is not None:
        if buyers is not None or sellers is not None:
            raise Misuse("a preset has its own numbers of buyers and sellers", "name either, not both")
        settings = of_preset(preset, chosen)
    elif buyers is None or sellers is None:
        raise Misuse("the swarm has no size", "name a preset, such as balanced_market, or --buyers N --sellers M")
    else:
        settings = custom(chosen, buyers, sellers)
    settings = msgspec.structs.replace(settings, underfunded_permille=underfunded)
    if usdc_per_eth is not None:
        settings = msgspec.structs.replace(settings, usdc_per_eth=usdc_per_eth)
    if out is not None:
        folders.require_free(out)
    with run_progress(quiet=quiet) as progress:
        engine = Engine(settings)
        engine.run(progress)
        if out is not None:
            manifest = archive.write(out, engine)
        else:
            manifest = archive.make_manifest(engine, archive.lines_of(engine))
    if json:
        emit(run_document(manifest, engine.room, out))
        return
    if quiet:
        return
    print_run(manifest, engine.room)
    if out is None:
        talk("Not kept: give --out DIR to write the run's archive.")
        return
    talk(f"Archive: {out}")
    next_steps(
        f"agentrooms verify {out} --re-execute",
        f"agentrooms replay {out}",
        f"agentrooms export {out} --format csv --out {f'{out}-csv' if out.name else 'tables'}",
    )


def presets(json: Json = False) -> None:
    """List the presets: how many buyers and sellers they have."""
    from agentrooms.cli.console import emit, out, table
    from agentrooms.sim.settings import PRESETS

    if json:
        emit([{"preset": name, "buyers": buyers, "sellers": sellers} for name, (buyers, sellers) in PRESETS.items()])
        return
    listed = table("Preset", ">Buyers", ">Sellers")
    for name, (buyers, sellers) in PRESETS.items():
        listed.add_row(name, str(buyers), str(sellers))
    out().print(listed)
