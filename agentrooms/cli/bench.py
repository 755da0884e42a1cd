"""`agentrooms bench`: how fast the core and its real parts are on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import SEED_MAX, Json, Misuse, factor, whole

if TYPE_CHECKING:
    from agentrooms.bench.rows import BenchReport, SocketRow

SEEDS_MAX = 20
CLIENTS_MAX = 2_000  # that the API takes from one address
ROOMS_MAX = 100
PARTS = ("core", "log", "rooms", "settlement", "models", "swarms", "nodes", "api")
MIB = 1024**2


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "bench",
        epilog=examples(
            "agentrooms bench",
            "agentrooms bench log rooms",
            "agentrooms bench core --quick --seeds 1,2,3 --json",
            "agentrooms bench api --clients 1000 --rooms 10 --seconds 20",
        ),
    )(bench)


def _seeds(value: str) -> str:
    """Reads a list of seeds; it stays a text, since Typer has no lists within one value."""
    read = whole(0, SEED_MAX, "write seeds as 1,2,3")
    parts = value.split(",")
    if len(parts) > SEEDS_MAX:
        raise Misuse(f"{len(parts)} seeds are too many", f"name at most {SEEDS_MAX}")
    return ",".join(str(read(part)) for part in parts)


def bench(
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="[PART]...", help=f"Any of {', '.join(PARTS)}; all when left out.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small measurements: shows that the bench works.")] = False,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="N,N,…", help="The runs that are measured.", parser=_seeds)
    ] = "1,2,3",
    clients: Annotated[
        int | None,
        typer.Option("--clients", metavar="N", help="Of the API's sockets (1,000).", parser=whole(1, CLIENTS_MAX)),
    ] = None,
    rooms: Annotated[
        int | None,
        typer.Option("--rooms", metavar="N", help="That they watch, one each (10).", parser=whole(1, ROOMS_MAX)),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="S", help="Of a measurement of the API (10).", parser=factor(0.5, 600)),
    ] = None,
    json: Json = False,
) -> None:
    """Measure the core in one process, the durable log, rooms, settlement, read models, swarms on Ray, and the API.

    All of it is measured with services of its own.

    A turn is one look of an agent at its market, whether it then speaks or not. Rates stand beside a baseline of
    the same run: encoding and hashing the same log, raw inserts of the same bytes, one node, a bare uvicorn
    application. Memory is proportional (PSS): what processes share counts once. Clients, rooms and databases of the
    API are processes that share the machine with it.
    """
    import platform

    import msgspec

    from agentrooms.bench.all import Audience, run_bench
    from agentrooms.cli.console import emit, out
    from agentrooms.cli.progress import step_progress

    chosen = tuple(dict.fromkeys(parts or PARTS))
    for part in chosen:
        if part not in PARTS:
            raise Misuse(f"{part!r} is no part of the bench", f"parts are {', '.join(PARTS)}")
    numbers = tuple(int(seed) for seed in seeds.split(","))
    with step_progress(quiet=json) as step:
        audience = Audience(clients, rooms, seconds)
        report = run_bench(chosen, numbers, quick=quick, say=step, audience=audience)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    if json:
        emit({"quick": quick, "machine": machine, **msgspec.to_builtins(report)})
        return
    _print(report)
    about = f"Python {machine['python']} on {machine['system']} {machine['machine']}, seeds {seeds}"
    out().print(about, style="dim", soft_wrap=True)


def _print(report: BenchReport) -> None:
    from agentrooms.cli.console import NONE, out, table

    if report.rows:
        shown = table(
            "Measured",
            ">A second",
            "",
            ">Aim",
            ">Of baseline",
            ">p50 ms",
            ">p99 ms",
            ">Events each",
            ">Count",
            ">Seconds",
        )
        for row in report.rows:
            shown.add_row(
                row.name,
                f"{row.per_second:,}",
                row.unit,
                NONE if row.aim is None else f"{row.aim:,}",
                _thousandths(row.ratio_permille, 2),
                _aimed(row.p50_micros, row.aim_p50_micros),
                _aimed(row.p99_micros, row.aim_p99_micros),
                _thousandths(row.events_permille, 2),
                f"{row.count:,}",
                f"{row.seconds_micros / 1_000_000:.2f}",
            )
        out().print(shown)
    if report.starts:
        begun = table("Swarm on Ray", ">Processes", ">First offer after", ">Aim", ">Memory (PSS)", ">Aim")
        for start in report.starts:
            begun.add_row(
                start.name,
                str(start.processes),
                f"{start.first_offer_micros / 1_000_000:.1f} s",
                NONE if start.aim_micros is None else f"{start.aim_micros / 1_000_000:.0f} s",
                f"{start.pss_bytes / MIB:,.0f} MiB",
                NONE if start.aim_bytes is None else f"{start.aim_bytes / MIB:,.0f} MiB",
            )
        out().print(begun)
    if report.sockets:
        _print_sockets(report.sockets)


def _print_sockets(rows: tuple[SocketRow, ...]) -> None:
    from agentrooms.cli.console import NONE, out, table

    first = rows[0]
    shown = table(
        "Sockets",
        ">Events",
        ">Deliveries",
        ">p50 ms",
        ">p99 ms",
        ">CPU µs each",
        ">Of bare",
        ">Closed",
    )
    for row in rows:
        ratio = NONE if row.ratio_permille is None else _thousandths(row.ratio_permille, 2)
        shown.add_row(
            row.name,
            f"{row.events_a_second * row.rooms:,}/s",
            f"{row.deliveries_a_second:,}/s",
            _aimed(row.p50_micros, None),
            _aimed(row.p99_micros, row.aim_p99_micros),
            f"{row.cpu_nanos / 1_000:.1f}",
            ratio + ("" if row.aim_ratio_permille is None else f" (aim {row.aim_ratio_permille / 1_000:.1f})"),
            f"{row.closed:,}",
        )
    out().print(shown)
    used = ", ".join(f"{name} {permille / 1_000:.2f}" for name, permille in first.busy_permille.items())
    note = (
        f"{first.clients:,} clients over {first.rooms} rooms. A delivery is one frame at one client; times are from when "
        f"an event was due, so they hold all waiting. Of the machine's cores the API's run used: {used}; databases besides."
    )
    out().print(note, style="dim", soft_wrap=True)


def _aimed(micros: int | None, aim_micros: int | None) -> str:
    """Returns milliseconds, and what they should stay under."""
    return _thousandths(micros, 1) + ("" if aim_micros is None else f" (aim {aim_micros / 1000:,.0f})")


def _thousandths(value: int | None, digits: int) -> str:
    from agentrooms.cli.console import NONE

    return NONE if value is None else f"{value / 1000:,.{digits}f}"
