"""`agentrooms room`: the rooms of the running system."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.live_params import LIST_DEFAULT, Limit, RoomId, first, pages, round_length
from agentrooms.cli.params import Json, factor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentrooms.projections.read_rows import ReadAgent, RoomRow
    from agentrooms.projections.read_views import RoomStatistics


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "room", "Rooms of the running system.", "agentrooms room list")
    group.command(
        "create", epilog=examples("agentrooms room create Punks", 'agentrooms room create "Night shift" --round-ms 500')
    )(create)
    group.command("list", epilog=examples("agentrooms room list", "agentrooms room list --all --json"))(list_)
    group.command("show", epilog=examples("agentrooms room show room_lg4y"))(show)
    group.command(
        "watch",
        epilog=examples("agentrooms room watch room_lg4y", "agentrooms room watch room_lg4y --for 10 | tee chat"),
    )(watch)
    group.command("close", epilog=examples("agentrooms room close room_lg4y"))(close)


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    collection: Annotated[
        str | None,
        typer.Option("--collection", metavar="ADDRESS", help="What is traded in it; CryptoPunks when left out."),
    ] = None,
    round_ms: Annotated[
        int,
        typer.Option("--round-ms", metavar="MS", help="How long a round is.", parser=round_length),
    ] = 1_000,
    json: Json = False,
) -> None:
    """Open a room."""
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.cli.console import clean, emit, next_steps, out
    from agentrooms.live.commands import OpenRoom

    with asking() as system:
        room = system.ask(OpenRoom(id=new_id(), name=name, collection=collection, round_ms=round_ms)).room
    if json:
        emit({"room": room})
        return
    out().print(f"Opened {clean(name)}: {room}", markup=False, soft_wrap=True)
    next_steps(
        f"agentrooms room watch {room}",
        f"agentrooms agent spawn --room {room} --role seller --limit 40 --start 60",
        f"agentrooms swarm run small_test --live --room {room}",
    )


def list_(
    every: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False,
    limit: Limit = LIST_DEFAULT,
    json: Json = False,
) -> None:
    """List open rooms with their prices."""
    import msgspec

    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import clean, emit, out, usdc
    from agentrooms.cli.facts import table_by_id
    from agentrooms.domain.room import RoomStatus
    from agentrooms.projections import queries

    status = None if every else RoomStatus.ACTIVE
    with asking() as system:
        rooms = first(
            pages(lambda last: queries.rooms(system.read, status=status, after=last.room if last else "")), limit
        )
    if json:
        emit(msgspec.to_builtins(rooms))
        return
    if not rooms:
        out().print("No rooms." if every else "No open rooms.")
        return
    ids = [room.room for room in rooms]
    columns = ("Room", "Name", ">Floor", ">Top bid", ">Agents", ">Deals", *(["Status"] if every else []))
    shown = table_by_id(*columns, ids=ids)
    for room in rooms:
        row = (room.room, clean(room.name), usdc(room.floor_usdc_micros), usdc(room.top_bid_usdc_micros))
        state = ["open" if room.close_reason is None else "closed"] if every else []
        shown.add_row(*row, str(room.active_agents), str(room.deals_completed), *state)
    out().print(shown)


def show(id_: RoomId, json: Json = False) -> None:
    """Show a room: prices, figures, who is in it."""
    from agentrooms.cli.agent import agents_of
    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import emit
    from agentrooms.projections import queries

    with asking() as system:
        room = queries.room(system.read, system.id_of("room", id_))
        figures = queries.statistics(system.read, room.room)
        agents = [agent for agent in agents_of(system, room.room) if agent.left_round is None]
    if json:
        emit(_document(room, figures, agents))
    else:
        _print(room, figures, agents)


def _document(room: RoomRow, figures: RoomStatistics, agents: list[ReadAgent]) -> dict[str, Any]:
    import msgspec

    rows = [{"agent": a.agent, "name": a.name, "role": a.role, "status": a.status} for a in agents]
    return {**msgspec.to_builtins(room), "statistics": msgspec.to_builtins(figures), "present": rows}


def _print(room: RoomRow, figures: RoomStatistics, agents: list[ReadAgent]) -> None:
    from agentrooms.cli.agent import print_agents
    from agentrooms.cli.console import clean, count, out, usdc
    from agentrooms.cli.facts import percent, print_facts
    from agentrooms.cli.lines import words

    out().print(f"{clean(room.name)}  {room.room}", style="bold", markup=False, soft_wrap=True)
    done = figures.deals_completed
    prices = (figures.min_price_usdc_micros, figures.max_price_usdc_micros)
    state = str(room.status) if room.close_reason is None else f"closed: {words(room.close_reason)}"
    print_facts(
        ("Status", f"{state}, round {room.round:,} of {room.round_ms} ms when something last happened"),
        ("Collection", room.collection),
        ("Floor", f"{usdc(room.floor_usdc_micros)} USDC ({room.base_grade or 'all items'})"),
        ("Top bid", f"{usdc(room.top_bid_usdc_micros)} USDC"),
        ("Present", f"{count(room.active_buyers, 'buyer')}, {count(room.active_sellers, 'seller')}"),
        ("Messages", f"{room.messages:,}"),
        ("Deals", f"{figures.deals_completed:,} completed, {figures.deals_failed:,} failed"),
        ("Success", percent(figures.success_permille, "of those that ended")),
        ("Volume", f"{usdc(figures.volume_usdc_micros)} USDC"),
        (
            "Prices",
            f"{' to '.join(map(usdc, prices))}, mean {usdc(figures.avg_price_usdc_micros)} USDC" if done else "",
        ),
        ("Over floor", percent(figures.avg_over_floor_permille, "on average")),
    )
    if agents:
        print_agents(agents)


def watch(
    id_: RoomId,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", help="End after so many seconds.", parser=factor(0.1, 1_000_000)),
    ] = None,
    screen: Annotated[bool, typer.Option("--screen/--no-screen", help="A live screen, or plain lines.")] = True,
) -> None:
    """Watch a room: chat, floor, bids, deals, from its beginning on. Ends when the room closes, or with Ctrl-C."""
    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import out, talk
    from agentrooms.cli.feed import Feed, waking
    from agentrooms.cli.report import outcome, print_deals
    from agentrooms.cli.screen import interruptible, is_screen, show

    with asking() as system:
        room = system.id_of("room", id_)
        feed = Feed(system.store, room)
        url = system.running.redis_url
        with interruptible(seconds) as patience, waking(url, room) as wake, _session(url, room):
            over = show(feed, wake, patience, room, screen=screen and is_screen())
    if not over:
        talk("You stopped watching; the room goes on.")
        return
    out().print(f"The room has closed: {outcome(feed.room)}.", style="bold", soft_wrap=True)
    print_deals(feed.room)


@contextmanager
def _session(url: str, room: str) -> Iterator[None]:
    """Counts us among those who watch. Redis may be away: nothing depends on it."""
    import contextlib
    import secrets
    import time

    import redis

    from agentrooms.projections import redis_stats
    from agentrooms.services.redis import client

    connection = client(url)
    session, since_ms = f"cli-{secrets.token_hex(8)}", time.time_ns() // 1_000_000
    with contextlib.suppress(redis.RedisError):
        redis_stats.open_session(connection, session, redis_stats.Session("", room, "", since_ms))
    try:
        yield
    finally:
        with contextlib.suppress(redis.RedisError):
            redis_stats.close_session(connection, session)
            connection.close()


def close(id_: RoomId, json: Json = False) -> None:
    """Close a room for good, as soon as no deal is live in it. Whoever is there leaves."""
    from agentrooms.cli.asking import asking, new_id
    from agentrooms.cli.console import emit, out
    from agentrooms.live.commands import CloseRoom

    with asking() as system:
        room = system.ask(CloseRoom(id=new_id(), room=system.id_of("room", id_))).room
    if json:
        emit({"room": room})
    else:
        out().print(f"Closed {room}.", soft_wrap=True)
