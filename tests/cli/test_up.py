"""`up`: how it starts, goes on after whatever end, and leaves nothing behind; and what its screen shows."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from agentrooms.cli.console import clean, usdc
from agentrooms.cli.lines import Kind, Line, Reader, rich_line
from agentrooms.cli.live import Scene, render, sparkline
from agentrooms.domain.folding import fold
from agentrooms.domain.market import Market
from agentrooms.domain.room import PersonSpoke, Room, RoomStatus
from agentrooms.domain.terms import Mood, Role
from agentrooms.domain.user import user_id
from agentrooms.events.journal import Journal
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.cli.commands import AGENTROOMS, agentrooms, environment
from tests.cli.system import Up, up, wait_for
from tests.domain import samples

TERMINAL_TIMEOUT_S = 60
SPEAKS = r"^ +\d+  \S+ [^:\n]+: \S"


@pytest.mark.xdist_group("up")
def test_it_goes_on_after_whatever_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with up(tmp_path, "--seed", "7") as first:
        said = first.until(SPEAKS)
        for step in ("postgres", "redis", "ray", "actors"):
            assert f"\n  {step}" in first.err
        second = agentrooms("up", code=1, cwd=tmp_path)
        assert f"in use by `agentrooms up` (process {first.process.pid}" in second.stderr
        assert first.end(signal.SIGINT) == 0
        assert "goes on at the next start" in first.err
        wait_for(lambda: not first.left(), lambda: str(first.left()))

    with up(tmp_path, "--seed", "8") as second_start:
        went_on = second_start.until(SPEAKS)
        assert "Going on with the room of seed 7." in second_start.err
        assert _lines(went_on)[: len(_lines(said))] == _lines(said)
        wait_for(lambda: len(_lines(second_start.out)) > len(_lines(went_on)), second_start.tell)  # not only the past
        before = second_start.out
        second_start.process.kill()
        second_start.process.wait()

        with up(tmp_path, "--seed", "9", "--speed", "max", "--once") as third:
            wait_for(lambda: third.process.poll() is not None, third.tell)
            assert third.process.returncode == 0, third.tell()
            assert "Going on with the room of seed 7." in third.err
            assert _lines(third.out)[: len(_lines(before))] == _lines(before)
            assert "Room of seed 7: " in third.out
            _check_nothing_is_said_twice(third)
            wait_for(lambda: not third.left(), lambda: str(third.left()))
        wait_for(lambda: not second_start.left(), lambda: str(second_start.left()))


def _lines(text: str) -> list[str]:
    """Returns the whole lines of a room's life."""
    return [line for line in text.split("\n")[:-1] if line[:4].strip().isdigit()]


def _check_nothing_is_said_twice(ended: Up) -> None:
    """Checks that the room, interrupted and killed, is one unbroken story in the end: each agent came and left once."""
    lines = [line.split("  ", 1)[1] for line in _lines(ended.out)]
    for what in (" joins and ", " leaves: "):
        names = [line.split(what)[0] for line in lines if what in line]
        assert len(names) == len(set(names)) == 5, names
    rounds = [int(line[:4]) for line in _lines(ended.out)]
    assert rounds == sorted(rounds)


@pytest.mark.xdist_group("up")
@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGTERM, "Starting in"), (signal.SIGHUP, "\n  redis"), (signal.SIGTERM, "\n  ray")],
)
def test_a_start_that_is_cut_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    with up(tmp_path) as cut:
        wait_for(lambda: moment in cut.err or cut.process.poll() is not None, cut.tell)
        assert moment in cut.err
        assert cut.end(number) == 130, cut.tell()
        assert "The API is at" not in cut.err
        wait_for(lambda: not cut.left(), lambda: str(cut.left()))


def test_a_start_that_cannot_be_says_why(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    env = environment(AGENTROOMS_DATA=str(tmp_path / "full"))
    done = agentrooms("up", code=1, cwd=tmp_path, env=env)
    assert "no data folder of agentrooms, and not empty" in done.stderr
    assert done.stdout == ""


# --- Terminals ------------------------------------------------------------------------------------------


def on_terminal(*arguments: str, until: tuple[bytes, ...], **extra: str) -> tuple[int, bytes]:
    """Runs a command on a terminal of 80 x 24, interrupts it once it has shown all of `until`; returns its end."""
    leader, follower = pty.openpty()
    env = environment(TERM="xterm-256color", COLUMNS="80", LINES="24", **extra)
    process = subprocess.Popen([AGENTROOMS, *arguments], stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    seen, last, interrupted = b"", time.monotonic() + TERMINAL_TIMEOUT_S, False
    try:
        while time.monotonic() < last:
            if not select.select([leader], [], [], 1)[0]:
                continue
            try:
                seen += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not interrupted and all(text in seen for text in until):
                process.send_signal(signal.SIGINT)
                interrupted = True
        return process.wait(timeout=10), seen
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_replay_on_a_terminal_steps_on_one_screen(run_a: Path) -> None:
    code, seen = on_terminal("replay", str(run_a), "--at", "90", "--step", until=(b"[n p +10 -10 number q]",))
    assert code == 130
    assert b"event 90 of" in seen
    assert seen.split(b"[n p")[0].count(b"\n") == 23
    assert b"interrupted" in seen
    assert b"Traceback" not in seen


# --- The screen -----------------------------------------------------------------------------------------


@cache
def scenes() -> tuple[Scene, ...]:
    """Returns a room's scenes, one after each event that people care about, the last one after it has closed."""
    engine = Engine(preset("balanced_market", 7))
    engine.run()
    return tuple(_scenes(engine))


def _scenes(engine: Engine) -> Iterator[Scene]:
    reader, lines, floors = Reader(Room()), list[Line](), list[int]()
    for recorded in Journal(engine.store, engine.room_id).load():
        line = reader.read(recorded.event)
        if reader.room.floor is not None:
            floors.append(reader.room.floor)
        if line is not None:
            lines.append(line)
            yield Scene(reader.room, tuple(lines), tuple(floors), about="seed 7", keys="Ctrl-C ends")


def frame(scene: Scene, width: int, height: int) -> list[str]:
    """Returns a frame's rows."""
    console = Console(width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(render(scene))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 16), (200, 60)])
def test_the_screen_fits(width: int, height: int) -> None:
    from rich.cells import cell_len

    for scene in (*scenes()[:2], *scenes()[10::40], scenes()[-1]):
        rows = frame(scene, width, height)
        assert len(rows) == height
        assert {cell_len(row.rstrip("\n")) for row in rows} == {width}


def test_the_screen_shows_floor_top_bid_quotes_and_the_last_words() -> None:
    both = [scene for scene in scenes() if Market(scene.room).asks and Market(scene.room).bids]
    scene = max(both, key=lambda scene: len(scene.room.quotes))
    room = scene.room
    rows = frame(scene, 120, 40)
    text = "\n".join(rows)
    market = Market(room)
    assert usdc(room.floor) in next(row for row in rows if "Floor" in row)
    assert usdc(room.top_bid) in next(row for row in rows if "Top bid" in row)
    for quote in (*market.asks[:3], *market.bids[:3]):
        assert any(room.agents[quote.agent].name in row and usdc(quote.price_usdc_micros) in row for row in rows), quote
    assert scene.lines[-1].text.split()[0] in text
    assert "seed 7" in rows[-1]
    assert "Ctrl-C ends" in rows[-1]


def test_every_stage_of_a_deal_is_shown() -> None:
    stages = ("●○○○ locked", "●●○○ verifying", "●●●○ executing", "●●●● completed")
    shown = {stage for scene in scenes() for stage in stages if stage in "\n".join(frame(scene, 80, 24))}
    assert shown <= set(stages)
    assert {"●○○○ locked", "●●●● completed"} <= shown
    assert scenes()[-1].room.status is RoomStatus.INACTIVE


def test_a_log_cannot_steer_the_terminal() -> None:
    evil = Line(
        round=1, kind=Kind.SAID, text="\x1b[2J[bold]hi\u202e\r", agent="a", name="\x9bx", avatar="🦊", role=Role.BUYER,
        mood=Mood.CALM,
    )  # fmt: skip
    assert rich_line(evil).plain == "🦊 \ufffdx: \ufffd[2J[bold]hi\ufffd\ufffd"
    assert clean("a\nb") == "a\ufffdb"


def test_what_a_person_says_is_shown_under_its_wallet() -> None:
    wallet = samples.wallet("p0")
    line = Reader(fold(Room(), [samples.opened()])).read(PersonSpoke(7, "Who sells?\x1b", user_id(wallet), wallet))
    assert line is not None
    assert rich_line(line, rounds=True).plain == f"   7  👤 {wallet[:6]}…{wallet[-4:]}: Who sells?\ufffd"


def test_sparkline() -> None:
    assert sparkline([], 5) == ""
    assert sparkline([3, 3], 5) == "▁▁"
    assert sparkline([0, 50, 100], 2) == "▁█"
    assert sparkline([1, 2], 0) == ""


def test_an_empty_room_can_be_drawn() -> None:
    scene = Scene(Room(), (), (), about="seed 1", keys="Ctrl-C ends")
    assert len(frame(scene, 80, 24)) == 24
