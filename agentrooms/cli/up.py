"""`agentrooms up`: the living system of a data folder, with a demo room that always has a swarm in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Seed, factor, fresh_seed, pace, preset_name

if TYPE_CHECKING:
    from agentrooms.cli.screen import Patience
    from agentrooms.live.access import Running
    from agentrooms.live.demo import Demo, DemoRoom

BETWEEN_ROOMS_S = 4.0  # time to read what came out


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "up",
        epilog=examples("agentrooms up", "agentrooms up --seed 7 --speed 10", "agentrooms up --once | tee chat.txt"),
    )(up)


def up(
    seed: Seed = None,
    preset: Annotated[
        str, typer.Option("--preset", metavar="PRESET", help="A size by name; see `swarm presets`.", parser=preset_name)
    ] = "high_competition",
    speed: Annotated[
        str, typer.Option("--speed", metavar="1|10|max", help="How fast the demo room's rounds run.", parser=pace)
    ] = "1",
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", help="End after so many seconds.", parser=factor(0.1, 1_000_000)),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the demo room closes.")] = False,
    api: Annotated[bool, typer.Option("--api/--no-api", help="Serve the API at API_HOST and API_PORT.")] = True,
    screen: Annotated[bool, typer.Option("--screen/--no-screen", help="A live screen, or plain lines.")] = True,
) -> None:
    """Start the system of the data folder and show its demo room: chat, floor, bids, deals. Ctrl-C ends all of it.

    Postgres, Redis and Ray are those of the settings (see .env.example), else of our own. What was going on when the
    system last ended goes on. Other commands talk to it from another terminal: room, agent, swarm, deal, status.
    """
    from contextlib import ExitStack

    from agentrooms.cli.console import talk
    from agentrooms.cli.screen import interruptible, is_screen
    from agentrooms.cli.serving import serving
    from agentrooms.live import system
    from agentrooms.services.listening import listening
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    with ExitStack() as ends:
        starting = ends.enter_context(interruptible())

        def said(what: str, took_s: float) -> None:
            talk(f"  {what:<9} {took_s:5.1f} s")
            if not starting.goes():  # between two steps: what is cut in its middle may leave something behind
                raise KeyboardInterrupt

        listener = ends.enter_context(listening(settings.api_host, settings.api_port)) if api else None
        talk(f"Starting in {settings.agentrooms_data}:")
        running = ends.enter_context(system.started(settings, "agentrooms up", said))
        patience = starting.at_most(seconds)
        if listener is not None:
            url = ends.enter_context(serving(running, listener))
            talk(f"The API is at {url}, described at {url}/api/docs.")
        _demo(running, patience, seed=seed, preset=preset, speed=int(speed), once=once, screen=screen and is_screen())
        talk("Stopping; what is going on goes on at the next start.")


def _demo(
    running: Running, patience: Patience, *, seed: int | None, preset: str, speed: int, once: bool, screen: bool
) -> None:
    """Shows one demo room after the other."""
    from agentrooms.cli.console import talk
    from agentrooms.live.demo import Demo

    with Demo(running.dsn, running.folder) as demo:
        first = fresh_seed() if seed is None else seed
        number = 0
        while patience.goes():
            room = demo.open(preset, first + number, patience.goes)
            if room is None:
                return
            number += 1
            if room.resumed:
                talk(f"Going on with the room of seed {room.seed}.")
            if not _show(running, demo, room, patience, speed=speed, screen=screen) or once:
                return
            talk("The next room opens in a moment; Ctrl-C ends.")
            if not patience.wait(BETWEEN_ROOMS_S):
                return


def _show(running: Running, demo: Demo, room: DemoRoom, patience: Patience, *, speed: int, screen: bool) -> bool:
    from agentrooms.cli.console import out
    from agentrooms.cli.feed import Feed, waking
    from agentrooms.cli.report import outcome, print_deals
    from agentrooms.cli.screen import show

    feed = Feed(demo.store, room.room)
    with waking(running.redis_url, room.room) as wake:
        over = show(
            feed,
            wake,
            patience,
            f"seed {room.seed}  {room.preset}",
            screen=screen,
            spoken=lambda: demo.set_speed(room, speed),
        )
    if over:
        out().print(f"Room of seed {room.seed}: {outcome(feed.room)}.", style="bold", soft_wrap=True)
        print_deals(feed.room)
    return over
