"""`agentrooms up`: a demo room, live in the terminal, with a new seed each start."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import SEED_MAX, Seed, factor, fresh_seed, preset_name

if TYPE_CHECKING:
    from agentrooms.cli.demo import Demo

BETWEEN_ROOMS_S = 4.0  # time to read what came out, at speed 1
BETWEEN_ROOMS_S_MIN = 1.0
REFRESH_S = 0.25  # a frame is drawn at least this often, so that a resized terminal looks right soon


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "up",
        epilog=examples("agentrooms up", "agentrooms up --seed 7 --speed 3", "agentrooms up --once | tee chat.txt"),
    )(up)


def up(
    seed: Seed = None,
    preset: Annotated[
        str, typer.Option("--preset", metavar="PRESET", help="A size by name; see `swarm presets`.", parser=preset_name)
    ] = "balanced_market",
    speed: Annotated[
        float, typer.Option("--speed", metavar="X", help="2 is twice as fast.", parser=factor(0.1, 1000))
    ] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", help="End after so many seconds.", parser=factor(0.1, 1_000_000)),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the first room does.")] = False,
) -> None:
    """Open a demo room in which agents trade, and show it: chat, floor, bids, deals. Ctrl-C ends it.

    Each start has a new seed, so other agents and prices; --seed repeats one, and later rooms count up from it.
    A pipe gets the chat as plain lines.
    """
    from agentrooms.cli.console import out, talk
    from agentrooms.cli.demo import Demo

    screen = out()
    live = screen.is_terminal and not screen.is_dumb_terminal and "utf" in screen.encoding.lower()
    until = time.monotonic() + seconds if seconds is not None else None
    with _interruptible() as stop:
        demo = Demo(preset=preset, speed=speed, wait=lambda pause: _wait(stop, pause, until))
        number = 0
        while True:
            chosen = fresh_seed() if seed is None else (seed + number) % (SEED_MAX + 1)
            number += 1
            demo.open(chosen, number)
            ended = _live(demo) if live else _plain(demo)
            if not ended:
                break
            demo.print_end()
            if once:
                return
            talk("The next room opens in a moment; Ctrl-C ends.")
            if not demo.wait(max(BETWEEN_ROOMS_S / speed, BETWEEN_ROOMS_S_MIN)):
                break
    talk(demo.farewell())


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turns Ctrl-C and SIGTERM into an event, so that nothing is cut in its middle. A second one does cut."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(stop: threading.Event, pause_s: float, until: float | None) -> bool:
    """Waits, and tells whether to go on."""
    if until is not None:
        left = until - time.monotonic()
        if left <= pause_s:
            stop.wait(max(left, 0))
            return False
    return not stop.wait(pause_s)


def _plain(demo: Demo) -> bool:
    """Prints what is said, line by line; tells whether the room came to its end."""
    from agentrooms.cli.console import out
    from agentrooms.cli.lines import rich_line

    out().print(demo.title(), soft_wrap=True, markup=False)
    for line in demo.play():
        if line is not None:
            out().print(rich_line(line, rounds=True), soft_wrap=True)
            sys.stdout.flush()
    return demo.over


def _live(demo: Demo) -> bool:
    """Draws the room until it ends or the demo shall end."""
    from rich.live import Live

    from agentrooms.cli.console import out
    from agentrooms.cli.live import render

    with Live(render(demo.scene()), console=out(), screen=True, auto_refresh=False) as live:
        draw: Callable[[], None] = lambda: live.update(render(demo.scene()), refresh=True)  # noqa: E731
        plain_wait = demo.wait
        demo.wait = lambda pause: _drawn(plain_wait, draw, pause)
        try:
            for _line in demo.play():
                draw()
        finally:
            demo.wait = plain_wait
    return demo.over


def _drawn(wait: Callable[[float], bool], draw: Callable[[], None], pause_s: float) -> bool:
    """Waits in short steps and draws after each."""
    while pause_s > REFRESH_S:
        if not wait(REFRESH_S):
            return False
        draw()
        pause_s -= REFRESH_S
    return wait(pause_s)
