"""`agentrooms agent`: agents of people in rooms of the running system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.live_params import (
    LIST_DEFAULT,
    AgentId,
    Limit,
    OfRoom,
    amount,
    demo_number,
    first,
    pages,
    rounds,
    wants,
)
from agentrooms.cli.params import Json, Misuse
from agentrooms.domain.terms import LeaveReason, Role, StrategyName, Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentrooms.cli.asking import System
    from agentrooms.domain.assets import Wants
    from agentrooms.live.commands import PauseAgent, RemoveAgent, ResumeAgent
    from agentrooms.projections.read_rows import ReadAgent, ReadDeal
    from agentrooms.projections.read_views import AgentPerformance


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "agent", "Agents in rooms of the running system.", "agentrooms agent list")
    group.command(
        "spawn",
        epilog=examples(
            "agentrooms agent spawn --room room_lg4y --role seller --limit 40 --start 60",
            "agentrooms agent spawn --room room_lg4y --role buyer --limit 55 --start 30 --strategy patient",
            "agentrooms agent spawn --room room_lg4y --role buyer --limit 90 --start 50 --wants grade=zombie",
        ),
    )(spawn)
    group.command("list", epilog=examples("agentrooms agent list", "agentrooms agent list --room room_lg4y --all"))(
        list_
    )
    group.command("show", epilog=examples("agentrooms agent show agent_jp4x"))(show)
    group.command("pause", epilog=examples("agentrooms agent pause agent_jp4x"))(pause)
    group.command("resume", epilog=examples("agentrooms agent resume agent_jp4x"))(resume)
    group.command("remove", epilog=examples("agentrooms agent remove agent_jp4x"))(remove)


def spawn(
    room: Annotated[str, typer.Option("--room", metavar="ROOM", help="Where it trades: an id or its beginning.")],
    role: Annotated[Role, typer.Option("--role", help="What it does.")],
    limit: Annotated[
        int,
        typer.Option("--limit", metavar="USDC", help="The most a buyer pays, the least a seller takes.", parser=amount),
    ],
    start: Annotated[
        int, typer.Option("--start", metavar="USDC", help="The first price it has in mind.", parser=amount)
    ],
    maximum: Annotated[
        int | None,
        typer.Option(
            "--max", metavar="USDC", help="The most a seller asks; twice its start when left out.", parser=amount
        ),
    ] = None,
    strategy: Annotated[StrategyName, typer.Option("--strategy", help="How it trades.")] = StrategyName.COMPETITIVE,
    style: Annotated[Style, typer.Option("--style", help="How it talks.")] = Style.PROFESSIONAL,
    item: Annotated[
        str | None,
        typer.Option("--item", metavar="TOKEN", help="What a seller sells; one is drawn when left out."),
    ] = None,
    wanted: Annotated[
        object | None,
        typer.Option(
            "--wants", metavar="WHAT", help="What a buyer buys: any, or 1234,5678, or grade=zombie.", parser=wants
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What others call it.")] = None,
    wallet: Annotated[
        int | None,
        typer.Option(
            "--wallet", metavar="N", help="A demo wallet (see `db seed`) instead of a new one.", parser=demo_number
        ),
    ] = None,
    expiry_rounds: Annotated[
        int | None,
        typer.Option(
            "--for-rounds", metavar="N", help="How long its mandate lasts; 600, or more of short ones.", parser=rounds
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Let an agent trade from a mock wallet. It never goes beyond its limit, and nobody else is told what that is."""
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.live.commands import SpawnAgent
    from agentrooms.projections import queries

    _check_side(role, limit, start, maximum=maximum, item=item, wanted=wanted)
    with asking() as system:
        command = SpawnAgent(
            id=new_id(),
            room=system.id_of("room", room),
            role=role,
            strategy=strategy,
            style=style,
            limit_usdc_micros=limit,
            start_usdc_micros=start,
            maximum_usdc_micros=maximum,
            item=item,
            wants=_wants(wanted),
            wallet=wallet,
            name=name,
            expiry_rounds=expiry_rounds or 0,
        )
        found = queries.agent(system.read, system.ask(command).agent)
    _tell_spawned(found, json=json)


def _tell_spawned(found: ReadAgent, *, json: bool) -> None:
    from agentrooms.cli.console import clean, emit, next_steps, out

    if json:
        emit({"agent": found.agent, "room": found.room, "name": found.name, "token_id": found.token_id})
        return
    does = f"sells #{found.token_id}" if found.token_id else f"buys {found.wants}"
    out().print(
        clean(f"{found.avatar} {found.name} {does} in {found.room}: {found.agent}"), markup=False, soft_wrap=True
    )
    next_steps(f"agentrooms agent show {found.agent}", f"agentrooms room watch {found.room}")


def _check_side(
    role: Role, limit: int, start: int, *, maximum: int | None, item: str | None, wanted: object | None
) -> None:
    """Finds what cannot be before anything is sent. Raises Misuse."""
    if role is Role.SELLER and wanted is not None:
        raise Misuse("--wants is for buyers", "name what a seller sells with --item, or leave it out")
    if role is Role.BUYER and (item is not None or maximum is not None):
        raise Misuse("--item and --max are for sellers", "say what a buyer wants with --wants")
    if role is Role.SELLER and start < limit:
        raise Misuse("a seller starts at or above its limit", "raise --start, or lower --limit")
    if role is Role.BUYER and start > limit:
        raise Misuse("a buyer starts at or below its limit", "lower --start, or raise --limit")
    if maximum is not None and maximum < start:
        raise Misuse("a seller's maximum is at or above its start", "raise --max, or lower --start")


def _wants(wanted: object | None) -> Wants | None:
    from agentrooms.domain.assets import Wants

    assert wanted is None or isinstance(wanted, Wants)
    return wanted


def list_(
    room: OfRoom = None,
    every: Annotated[bool, typer.Option("--all", help="Those that have left, too.")] = False,
    limit: Limit = LIST_DEFAULT,
    json: Json = False,
) -> None:
    """List agents in open rooms."""
    import msgspec

    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import emit, out

    with asking() as system:
        name = system.id_of("room", room) if room is not None else None
        found = first(_listed(system, name, every=every), limit)
    if json:
        emit(msgspec.to_builtins(found))
    elif found:
        print_agents(found)
    else:
        out().print("No agents." if every else "Nobody is there; --all shows who was.")


def _listed(system: System, room: str | None, *, every: bool) -> Iterator[ReadAgent]:
    """Yields agents of a room, or of all; those present can only be in open rooms, which are few."""
    from agentrooms.domain.room import RoomStatus
    from agentrooms.projections import queries

    if every or room is not None:
        rooms = [room]
    else:
        rooms = [found.room for found in queries.rooms(system.read, status=RoomStatus.ACTIVE, limit=queries.PAGE_MAX)]
    for name in rooms:
        for agent in agents_of(system, name):
            if every or agent.left_round is None:
                yield agent


def agents_of(system: System, room: str | None) -> Iterator[ReadAgent]:
    """Yields the agents that a room, or None: any room, has ever had."""
    from agentrooms.projections import queries

    return pages(lambda last: queries.agents(system.read, room=room, after=last.agent if last else ""))


def print_agents(agents: Sequence[ReadAgent]) -> None:
    """Prints agents as a table."""
    from agentrooms.cli.console import clean, out, usdc
    from agentrooms.cli.facts import table_by_id, wide

    more = ["Strategy", ">Said"] if wide() else []
    ids = [agent.agent for agent in agents]
    shown = table_by_id("Agent", "Name", "Trades", "Status", ">Last price", *more, ids=ids)
    for agent in agents:
        trades = f"sells #{agent.token_id}" if agent.token_id is not None else f"buys {agent.wants}"
        shown.add_row(
            agent.agent,
            clean(f"{agent.avatar} {agent.name}"),
            clean(trades),
            _status(agent),
            usdc(agent.last_price_usdc_micros),
            *[agent.strategy, str(agent.messages)][: len(more)],
        )
    out().print(shown)


def _status(agent: ReadAgent) -> str:
    from agentrooms.cli.lines import words

    return words(agent.left_reason) if agent.left_reason is not None else words(agent.status)


def show(id_: AgentId, json: Json = False) -> None:
    """Show an agent: what it does, how well it did, its deals. Its limit is shown to nobody."""
    import msgspec

    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import emit
    from agentrooms.projections import queries

    with asking() as system:
        agent = queries.agent(system.read, system.id_of("agent", id_))
        performance = queries.performance(system.read, agent.agent)
        deals = [
            deal
            for deal in queries.deals(system.read, user=agent.user_id, limit=queries.PAGE_MAX)
            if agent.agent in {deal.buyer, deal.seller}
        ]
    if json:
        figures = msgspec.to_builtins(performance)
        emit({**msgspec.to_builtins(agent), "performance": figures, "deals": msgspec.to_builtins(deals)})
    else:
        _print(agent, performance, deals)


def _print(agent: ReadAgent, performance: AgentPerformance, deals: list[ReadDeal]) -> None:
    from agentrooms.cli.console import clean, out, usdc
    from agentrooms.cli.deal import print_deals
    from agentrooms.cli.facts import at, percent, print_facts, seconds

    out().print(clean(f"{agent.avatar} {agent.name}  {agent.agent}"), style="bold", markup=False, soft_wrap=True)
    trades = f"sells #{agent.token_id}" if agent.token_id is not None else f"buys {agent.wants}"
    took_ms = performance.avg_negotiation_ms
    gain = ("Savings", performance.savings_usdc_micros)
    if agent.role is Role.SELLER:
        gain = ("Earnings", performance.earnings_usdc_micros)
    left = f"{_status(agent)}, since {at(agent.left_at_ms)}" if agent.left_round is not None else _status(agent)
    print_facts(
        ("Room", agent.room),
        ("Trades", f"{trades}, {agent.strategy}, talks {agent.style}"),
        ("Status", left),
        ("Wallet", agent.owner),
        ("Swarm", agent.swarm or "none: a user's own"),
        ("Joined", f"round {agent.joined_round}, {at(agent.joined_at_ms)}"),
        ("Said", f"{agent.messages} ({agent.quotes} prices, {agent.accepts} accepted, {agent.refusals} refused to it)"),
        (
            "Prices",
            f"first {usdc(agent.first_price_usdc_micros)}, last {usdc(agent.last_price_usdc_micros)} USDC",
        ),
        ("Deals", f"{performance.deals_completed} completed, {performance.deals_failed} failed"),
        (gain[0], f"{usdc(gain[1])} USDC against the floor" if performance.deals_completed else ""),
        ("Best deal", percent(performance.best_deal_permille, "better than the floor")),
        ("Took", f"{seconds(took_ms)} from joining to the deal" if took_ms is not None else ""),
    )
    if deals:
        print_deals(deals)


def pause(id_: AgentId, json: Json = False) -> None:
    """Silence an agent until it is resumed."""
    from agentrooms.live.commands import PauseAgent

    _order(PauseAgent, id_, "Paused", json=json)


def resume(id_: AgentId, json: Json = False) -> None:
    """Let a paused agent speak again."""
    from agentrooms.live.commands import ResumeAgent

    _order(ResumeAgent, id_, "Resumed", json=json)


def remove(id_: AgentId, json: Json = False) -> None:
    """Take an agent out of its room for good."""
    from agentrooms.live.commands import RemoveAgent

    _order(RemoveAgent, id_, "Removed", json=json)


def _order(kind: type[PauseAgent | ResumeAgent | RemoveAgent], id_: str, done: str, *, json: bool) -> None:
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.cli.console import clean, emit, out
    from agentrooms.projections import queries

    with asking() as system:
        answer = system.ask(kind(id=new_id(), agent=system.id_of("agent", id_)))
        agent = queries.agent(system.read, answer.agent)
    if json:
        emit({"agent": agent.agent, "room": agent.room, "status": agent.status})
        return
    text = f"{done} {agent.avatar} {agent.name}, {agent.agent}."
    if agent.left_round is not None and agent.left_reason is not LeaveReason.USER_REMOVED:
        text = f"{agent.avatar} {agent.name}, {agent.agent}, is not there any more: {_status(agent)}."
    out().print(clean(text), markup=False, soft_wrap=True)
