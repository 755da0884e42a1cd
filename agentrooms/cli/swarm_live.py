"""`agentrooms swarm`, the live part: swarms in the running system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.live_params import LIST_DEFAULT, Limit, OfRoom, SwarmId, first, pages
from agentrooms.cli.params import Json, Misuse, pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentrooms.live.commands import Answer, SwarmCommand
    from agentrooms.projections.read_rows import SwarmRow

SPEEDS = {0: "max", 1: "1x", 10: "10x"}


def register(group: typer.Typer) -> None:
    """Adds the verbs to the group `swarm`."""
    group.command("list", epilog=examples("agentrooms swarm list", "agentrooms swarm list --all --json"))(list_)
    group.command("pause", epilog=examples("agentrooms swarm pause swarm_q7ra"))(pause)
    group.command("resume", epilog=examples("agentrooms swarm resume swarm_q7ra"))(resume)
    group.command("speed", epilog=examples("agentrooms swarm speed swarm_q7ra 10"))(speed)
    group.command("stop", epilog=examples("agentrooms swarm stop swarm_q7ra"))(stop)


def start(
    preset: str | None,
    buyers: int | None,
    sellers: int | None,
    seed: int | None,
    *,
    room: str | None,
    speed: int,
    json: bool,
    quiet: bool,
) -> None:
    """Starts a live swarm; its size is a preset, or buyers and sellers."""
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.cli.console import count, emit, next_steps, out
    from agentrooms.live.commands import SEED_MAX, RunSwarm

    if seed is not None and seed > SEED_MAX:
        raise Misuse(f"the seed of a live swarm is at most {SEED_MAX}", "choose a smaller one")
    with asking() as system:
        place = system.id_of("room", room) if room is not None else None
        answer = system.ask(
            RunSwarm(id=new_id(), room=place, preset=preset, buyers=buyers, sellers=sellers, seed=seed, speed=speed)
        )
    if json:
        emit({"swarm": answer.swarm, "room": answer.room, "agents": answer.agents})
    elif not quiet:
        joining = count(answer.agents, "agent")
        out().print(f"Started {answer.swarm}: {joining} will join {answer.room}.", soft_wrap=True)
        next_steps(f"agentrooms room watch {answer.room}", f"agentrooms swarm stop {answer.swarm}")


def list_(
    room: OfRoom = None,
    every: Annotated[bool, typer.Option("--all", help="Completed ones, too.")] = False,
    limit: Limit = LIST_DEFAULT,
    json: Json = False,
) -> None:
    """List live swarms."""
    import msgspec

    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import NONE, emit, out, usdc
    from agentrooms.cli.facts import percent, table_by_id, wide
    from agentrooms.domain.swarm import SwarmStatus
    from agentrooms.projections import queries

    with asking() as system:
        place = system.id_of("room", room) if room is not None else None
        rows = pages(lambda last: queries.swarms(system.read, room=place, after=last.swarm if last else ""))
        found = first((row for row in rows if every or row.status is not SwarmStatus.COMPLETED), limit)
        figures = [queries.swarm_analytics(system.read, row.swarm) for row in found]
    if json:
        emit([{**msgspec.to_builtins(f), **msgspec.to_builtins(r)} for r, f in zip(found, figures, strict=True)])
        return
    if not found:
        out().print("No swarms." if every else "No swarm is running; --all shows completed ones.")
        return
    more = [">Volume", ">Success"] if wide() else []
    ids = [row.swarm for row in found]
    shown = table_by_id("Swarm", "Preset", "Status", ">Speed", ">Agents", ">Deals", *more, ids=ids)
    for row, figure in zip(found, figures, strict=True):
        extra = usdc(figure.volume_usdc_micros), percent(figure.success_permille) or NONE
        shown.add_row(
            row.swarm,
            row.preset,
            row.status,
            SPEEDS.get(row.speed, f"{row.speed}x"),
            f"{figure.present} of {figure.total_agents}",
            str(figure.deals_completed),
            *extra[: len(more)],
        )
    out().print(shown)


def pause(id_: SwarmId, json: Json = False) -> None:
    """Silence all agents of a swarm until it is resumed."""
    from agentrooms.live.commands import PauseSwarm

    row, _answer = _steer(id_, lambda new, swarm: PauseSwarm(id=new, swarm=swarm))
    _report(row, "Paused", json=json)


def resume(id_: SwarmId, json: Json = False) -> None:
    """Let a paused swarm's agents speak again."""
    from agentrooms.live.commands import ResumeSwarm

    row, _answer = _steer(id_, lambda new, swarm: ResumeSwarm(id=new, swarm=swarm))
    _report(row, "Resumed", json=json)


def speed(
    id_: SwarmId,
    pace_: Annotated[str, typer.Argument(metavar="1|10|max", help="How many times room time.", parser=pace)],
    json: Json = False,
) -> None:
    """Run the rounds of a swarm's room at another pace."""
    from agentrooms.live.commands import SetSwarmSpeed

    row, _answer = _steer(id_, lambda new, swarm: SetSwarmSpeed(id=new, swarm=swarm, speed=int(pace_)))
    _report(row, f"Runs at {SPEEDS[row.speed]}:", json=json)


def stop(id_: SwarmId, json: Json = False) -> None:
    """Take all agents of a swarm out, those in a live deal when it has ended, and wait for it."""
    from agentrooms.cli.console import count, emit, out
    from agentrooms.live.commands import StopSwarm

    row, answer = _steer(id_, lambda new, swarm: StopSwarm(id=new, swarm=swarm))
    deals = answer.deals_completed
    if json:
        emit({"swarm": row.swarm, "room": row.room, "status": row.status, "deals_completed": deals})
    else:
        out().print(f"Stopped {row.swarm} after {count(deals, 'deal')}.", soft_wrap=True)


def _steer(id_: str, make: Callable[[str, str], SwarmCommand]) -> tuple[SwarmRow, Answer]:
    """Sends a command, made from an id of its own and the swarm's; returns the swarm after it, and the answer."""
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.projections import queries

    with asking() as system:
        answer = system.ask(make(new_id(), system.id_of("swarm", id_)))
        return queries.swarm(system.read, answer.swarm), answer


def _report(row: SwarmRow, done: str, *, json: bool) -> None:
    from agentrooms.cli.console import emit, out

    if json:
        emit({"swarm": row.swarm, "room": row.room, "status": row.status, "speed": row.speed})
    else:
        out().print(f"{done} {row.swarm} in {row.room}.", soft_wrap=True)
