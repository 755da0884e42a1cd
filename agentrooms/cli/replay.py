"""`agentrooms replay`: a room as it was after any event of its archive."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Folder, Json, Misuse, factor, whole

if TYPE_CHECKING:
    from agentrooms.cli.roomview import Moment
    from agentrooms.sim.run import Run

EVENTS_MAX = 10**9
CHAT_LINES = 12
SCREEN_LINES = 60  # more than a terminal shows
PAUSE_S_MAX = 3.0  # longer silences are cut short when a chat is played
STEP_HELP = "n next, p back, +10 -10 by that many, 120 to event 120, q quit"


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "replay",
        epilog=examples(
            "agentrooms replay runs/a --at 120",
            "agentrooms replay runs/a --step",
            "agentrooms replay runs/a --follow --speed 10",
        ),
    )(replay)


def replay(
    folder: Folder,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            metavar="N",
            help="After so many events, 0 to the archive's number of events; the end when left out.",
            parser=whole(0, EVENTS_MAX),
        ),
    ] = None,
    step: Annotated[bool, typer.Option("--step", help=f"Step with keys: {STEP_HELP}.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Play the chat from there on.")] = False,
    speed: Annotated[
        float,
        typer.Option("--speed", metavar="X", help="For --follow: times room time.", parser=factor(0.1, 1000)),
    ] = 5.0,
    json: Json = False,
) -> None:
    """Show a room as it was: floor, top bid, quotes, agents, deals, and the last words said.

    On a terminal without --at it steps through the events.
    """
    from agentrooms.cli.console import emit, out
    from agentrooms.cli.roomview import print_moment, room_document
    from agentrooms.sim.run import Run

    if follow and (json or step):
        raise Misuse("--follow plays the chat", "leave out --json and --step")
    run = Run.open(folder)
    if follow:
        _follow(run, at or 0, speed)
        return
    moment = moment_of(run, len(run) if at is None else at)
    if json:
        emit(room_document(moment))
        return
    if step or (at is None and out().is_terminal and sys.stdin.isatty()):
        _step(run, moment if at is not None else moment_of(run, first_event(run)))
        return
    print_moment(moment)


def moment_of(run: Run, number: int, *, lines_kept: int = CHAT_LINES) -> Moment:
    """Returns the room after `number` events. Raises InvalidInput beyond the archive's end."""
    from agentrooms.cli.lines import read_all
    from agentrooms.cli.roomview import Moment

    room = run.at(number)
    events = run.events()[:number]
    at_ms, type_ = (events[-1].at_ms, events[-1].type) if events else (0, "")
    first = max(0, number - 8 * lines_kept)  # about one event in two is a line
    lines = read_all([r.event for r in events[first:]], run.at(first))
    if len(lines) < lines_kept and first:
        lines = read_all(r.event for r in events)
    return Moment(room, number, len(run), type_, at_ms, tuple(lines[-lines_kept:]))


def first_event(run: Run) -> int:
    """Returns the number of the first event that somebody joined or spoke at, where stepping begins."""
    found = (n for n, r in enumerate(run.events(), start=1) if r.type in {"agent.spawned", "act.posted"})
    return next(found, len(run))


def target(answer: str, here: int, last: int) -> int | None:
    """Returns the event an answer leads to, None when it cannot be read; kept within the archive."""
    text = answer.strip().lower()
    if text in {"", "n"}:
        wanted = here + 1
    elif text == "p":
        wanted = here - 1
    elif text[1:].isdecimal() and text[0] in "+-":
        wanted = here + int(text)
    elif text.isdecimal():
        wanted = int(text)
    else:
        return None
    return min(max(wanted, 0), last)


def _step(run: Run, moment: Moment) -> None:
    from agentrooms.cli.console import err, talk

    # polars has put a handler of its own in place, under which Ctrl-C would not end a wait for a line.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    show = True
    while True:
        if show:
            _show(run, moment)
        err().print(f"event {moment.event} of {moment.events} [n p +10 -10 number q] ", end="", markup=False)
        answer = sys.stdin.readline()
        if not answer or answer.strip().lower() in {"q", "quit"}:
            if not answer:
                talk()
            return
        number = target(answer, moment.event, len(run))
        show = number is not None
        if number is None:
            talk(STEP_HELP)
        else:
            moment = moment_of(run, number)


def _show(run: Run, moment: Moment) -> None:
    """Shows a moment: on a terminal as one screen that leaves room for the answer, else as tables."""
    from agentrooms.cli.console import out
    from agentrooms.cli.live import Scene, render
    from agentrooms.cli.roomview import clock, print_moment

    screen = out()
    if not screen.is_terminal:
        print_moment(moment)
        return
    room = moment.room
    moved = (row for row in run.rows("floor_path") if getattr(row, "event", 0) <= moment.event)
    floors = [floor for row in moved if (floor := getattr(row, "floor_usdc_micros", None)) is not None]
    about = f"event {moment.event:,} of {moment.events:,}  {moment.type}  round {max(room.round, 0)}"
    scene = Scene(
        room=room,
        lines=moment_of(run, moment.event, lines_kept=SCREEN_LINES).lines,
        floors=floors,
        about=about,
        keys=clock(room, moment.at_ms),
    )
    screen.clear()
    screen.print(render(scene), height=screen.height - 1)


def _follow(run: Run, start: int, speed: float) -> None:
    from agentrooms.cli.console import out
    from agentrooms.cli.lines import Reader, rich_line

    reader, before_ms = Reader(run.at(start)), None
    for recorded in run.events()[start:]:
        line = reader.read(recorded.event)
        if line is None:
            continue
        if before_ms is not None:
            time.sleep(min((recorded.at_ms - before_ms) / 1000 / speed, PAUSE_S_MAX))
        before_ms = recorded.at_ms
        out().print(rich_line(line, rounds=True), soft_wrap=not out().is_terminal)
        out().file.flush()
