"""`agentrooms swarm`: reproducible runs of many agents, and live swarms in the running system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli import swarm_live
from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import (
    Json,
    Misuse,
    RunChain,
    Runtime,
    Seed,
    Store,
    exchange_rate,
    fresh_seed,
    new_folder,
    pace,
    per_actor,
    preset_name,
    side_size,
    whole,
)

if TYPE_CHECKING:
    from agentrooms.domain.room import Room
    from agentrooms.sim.archive import Manifest
    from agentrooms.sim.settings import RunSettings


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(
        app, "swarm", "Swarms of agents: reproducible runs, and live ones.", "agentrooms swarm run small_test --seed 7"
    )
    group.command(
        "run",
        epilog=examples(
            "agentrooms swarm run balanced_market --seed 7 --out runs/a",
            "agentrooms swarm run --buyers 40 --sellers 25 --seed 1 --out runs/large",
            "agentrooms swarm run small_test --seed 7 --json",
            "agentrooms swarm run balanced_market --seed 7 --chain devnet",
            "agentrooms swarm run small_test --live --speed 10",
        ),
    )(run)
    group.command("presets", epilog=examples("agentrooms swarm presets", "agentrooms swarm presets --json"))(presets)
    swarm_live.register(group)


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
    chain: Annotated[
        RunChain,
        typer.Option(
            "--chain", help="What deals settle on: a ledger, or an EVM with our contracts, its own for the run."
        ),
    ] = RunChain.LEDGER,
    runtime: Annotated[Runtime, typer.Option("--runtime", help="Actors in this process, or on Ray.")] = Runtime.LOCAL,
    agents_per_actor: Annotated[
        str | None,
        typer.Option(
            "--agents-per-actor", metavar="N|auto", help="On Ray: how many agents share a process.", parser=per_actor
        ),
    ] = None,
    store: Annotated[
        Store, typer.Option("--store", help="The log in memory, or in Postgres, where a run that was cut goes on.")
    ] = Store.MEMORY,
    live: Annotated[bool, typer.Option("--live", help="In the running system, in real time.")] = False,
    room: Annotated[
        str | None,
        typer.Option("--room", metavar="ROOM", help="With --live: in this room; else it opens one of its own."),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option("--speed", metavar="1|10|max", help="With --live: how fast the room's rounds run.", parser=pace),
    ] = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and --json).")] = False,
) -> None:
    """Run a swarm in virtual time until its room is empty: the same seed gives the same bytes.

    It is a run of its own and touches no running system. With --out it becomes an archive that can be verified,
    replayed, forked and exported. With --live it starts in the running system instead, and this command does not wait.
    """
    _check_size(preset, buyers, sellers)
    if live:
        own = (out, usdc_per_eth, agents_per_actor, underfunded or None)
        if (
            any(value is not None for value in own)
            or chain is not RunChain.LEDGER
            or runtime is not Runtime.LOCAL
            or store is not Store.MEMORY
        ):
            raise Misuse("that option is for a run of its own", "with --live: a size, --seed, --room, --speed")
        swarm_live.start(preset, buyers, sellers, seed, room=room, speed=int(speed or 1), json=json, quiet=quiet)
        return
    if room is not None or speed is not None:
        raise Misuse("--room and --speed are for a live swarm", "add --live")
    if agents_per_actor is not None and runtime is Runtime.LOCAL:
        raise Misuse("--agents-per-actor is for processes", "add --runtime ray")
    settings = _settings(preset, seed, buyers, sellers, usdc_per_eth, underfunded, chain)
    manifest, ended = _run(settings, out, runtime, store, agents_per_actor, quiet=quiet)
    _report(manifest, ended, out, json=json, quiet=quiet)


def _run(
    settings: RunSettings,
    out: Path | None,
    runtime: Runtime,
    store: Store,
    agents_per_actor: str | None,
    *,
    quiet: bool,
) -> tuple[Manifest, Room]:
    """Runs to the end and writes the archive, if it is to be kept; returns its manifest and the room as it was left."""
    from agentrooms.cli.console import talk
    from agentrooms.cli.progress import run_progress
    from agentrooms.cli.services import run_services
    from agentrooms.sim import archive, folders
    from agentrooms.sim.runner import finished

    if out is not None:
        folders.require_free(out)
    if not quiet:
        talk("A run of its own: no running system is asked.")
    with (
        run_services(ray=runtime is Runtime.RAY, postgres=store is Store.POSTGRES) as services,
        run_progress(quiet=quiet) as progress,
        finished(
            settings,
            on_ray=runtime is Runtime.RAY,
            dsn=services.dsn,
            agents_per_actor=int(agents_per_actor) if agents_per_actor else services.agents_per_actor,
            progress=progress,
            resumed=lambda events: talk(f"This run was cut after {events:,} events; it goes on there."),
        ) as engine,
    ):
        if out is not None:
            return archive.write(out, engine), engine.room
        return archive.make_manifest(engine, archive.lines_of(engine)), engine.room


def _report(manifest: Manifest, room: Room, out: Path | None, *, json: bool, quiet: bool) -> None:
    from agentrooms.cli.console import emit, next_steps, talk
    from agentrooms.cli.report import print_run, run_document

    if json:
        emit(run_document(manifest, room, out))
        return
    if quiet:
        return
    print_run(manifest, room)
    if out is None:
        talk("Not kept: give --out DIR to write the run's archive.")
        return
    talk(f"Archive: {out}")
    next_steps(
        f"agentrooms verify {out} --re-execute",
        f"agentrooms replay {out}",
        f"agentrooms export {out} --format csv --out {f'{out}-csv' if out.name else 'tables'}",
    )


def _settings(
    preset: str | None,
    seed: int | None,
    buyers: int | None,
    sellers: int | None,
    usdc_per_eth: int | None,
    underfunded: int,
    chain: RunChain,
) -> RunSettings:
    import msgspec

    from agentrooms.chain.spec import ChainMode
    from agentrooms.sim.settings import custom
    from agentrooms.sim.settings import preset as of_preset

    chosen = fresh_seed() if seed is None else seed
    if preset is not None:
        settings = of_preset(preset, chosen)
    else:
        assert buyers is not None
        assert sellers is not None
        settings = custom(chosen, buyers, sellers)
    settings = msgspec.structs.replace(settings, underfunded_permille=underfunded, chain=ChainMode(chain))
    if usdc_per_eth is not None:
        settings = msgspec.structs.replace(settings, usdc_per_eth=usdc_per_eth)
    return settings


def _check_size(preset: str | None, buyers: int | None, sellers: int | None) -> None:
    """Finds whether a swarm is sized in one way. Raises Misuse."""
    if preset is not None:
        if buyers is not None or sellers is not None:
            raise Misuse("a preset has its own numbers of buyers and sellers", "name either, not both")
    elif buyers is None or sellers is None:
        raise Misuse("the swarm has no size", "name a preset, such as balanced_market, or --buyers N --sellers M")


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
