"""The live demo: what a pipe gets, how it ends, and what the screen shows."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from agentrooms.cli.console import clean, usdc
from agentrooms.cli.demo import Demo
from agentrooms.cli.lines import Kind, Line, rich_line
from agentrooms.cli.live import Scene, render, sparkline
from agentrooms.domain.market import Market
from agentrooms.domain.room import Room
from agentrooms.domain.terms import Mood, Role
from tests.cli.commands import AGENTROOMS, agentrooms, environment

FIRST_LINE_TIMEOUT_S = 30
SAID = re.compile(r"^ +\d+  \S+ [^:]+: .*USDC", re.MULTILINE)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Starts `up` with pipes and makes sure it is gone afterwards."""
    process = subprocess.Popen(
        [AGENTROOMS, "up", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_said(process: subprocess.Popen[str]) -> str:
    """Returns what a process writes up to its first price."""
    assert process.stdout is not None
    text, last = "", time.monotonic() + FIRST_LINE_TIMEOUT_S
    while not SAID.search(text):
        ready, _, _ = select.select([process.stdout], [], [], max(0, last - time.monotonic()))
        assert ready, f"nobody named a price:\n{text}"
        line = process.stdout.readline()
        assert line, f"it ended:\n{text}"
        text += line
    return text


def test_two_starts_have_other_seeds_and_other_agents() -> None:
    with started("--once") as one, started("--once") as two:
        first, second = until_said(one), until_said(two)
    assert first.splitlines()[0] != second.splitlines()[0]
    assert first.splitlines()[1:] != second.splitlines()[1:]


def test_a_seed_repeats_a_room() -> None:
    one, two = (agentrooms("up", "--once", "--seed", "7", "--preset", "small_test", "--speed", "1000") for _ in "ab")
    assert one.stdout == two.stdout
    assert "seed 7" in one.stdout.splitlines()[0]
    assert "Room 1, seed 7: " in one.stdout
    assert "\x1b" not in one.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_demo_well(number: signal.Signals) -> None:
    with started("--seed", "7") as process:
        until_said(process)
        process.send_signal(number)
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err.startswith("Ended in round ")
    assert "agentrooms up --preset balanced_market --seed 7" in err
    assert len(err.splitlines()) == 1


def test_it_goes_on_with_the_next_seed_until_its_time_is_over() -> None:
    done = agentrooms("up", "--seed", "7", "--preset", "small_test", "--speed", "1000", "--for", "4")
    assert "seed 7" in done.stdout
    assert "seed 8" in done.stdout
    assert "Ended " in done.stderr


def on_terminal(*arguments: str, until: tuple[bytes, ...]) -> tuple[int, bytes]:
    """Runs a command on a terminal of 80 x 24, interrupts it once it has shown all of `until`; returns its end."""
    leader, follower = pty.openpty()
    env = environment(TERM="xterm-256color", COLUMNS="80", LINES="24")
    process = subprocess.Popen([AGENTROOMS, *arguments], stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    seen, last, interrupted = b"", time.monotonic() + FIRST_LINE_TIMEOUT_S, False
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


def test_a_terminal_gets_a_screen_and_gets_its_own_back() -> None:
    code, seen = on_terminal("up", "--seed", "7", "--speed", "20", until=(b"Floor", b"USDC"))
    assert code == 0
    assert b"\x1b[?1049h" in seen  # the alternate screen
    assert b"\x1b[?1049l" in seen.split(b"Ended in round")[0]
    assert b"\x1b[?25h" in seen  # the cursor is back
    assert b"Traceback" not in seen


def test_replay_on_a_terminal_steps_on_one_screen(run_a: Path) -> None:
    code, seen = on_terminal("replay", str(run_a), "--at", "90", "--step", until=(b"[n p +10 -10 number q]",))
    assert code == 130
    assert b"event 90 of" in seen
    assert seen.split(b"[n p")[0].count(b"\n") == 23
    assert b"interrupted" in seen
    assert b"Traceback" not in seen


# --- The screen -----------------------------------------------------------------------------------------


@cache
def scene_at(events: int) -> Scene:
    """Returns a demo's scene after so many shown events."""
    demo = Demo(preset="balanced_market", speed=1000, wait=lambda _pause: True)
    demo.open(7, 1)
    for _shown, _line in zip(range(events), demo.play(), strict=False):
        pass
    return demo.scene()


def frame(scene: Scene, width: int, height: int) -> list[str]:
    """Returns a frame's rows."""
    console = Console(width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(render(scene))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 16), (200, 60)])
def test_the_screen_fits(width: int, height: int) -> None:
    from rich.cells import cell_len

    for events in (0, 1, 30, 120, 10_000):
        rows = frame(scene_at(events), width, height)
        assert len(rows) == height
        assert {cell_len(row.rstrip("\n")) for row in rows} == {width}


def test_the_screen_shows_floor_top_bid_quotes_and_the_last_words() -> None:
    scene = scene_at(120)
    room = scene.room
    rows = frame(scene, 120, 40)
    text = "\n".join(rows)
    market = Market(room)
    assert market.asks
    assert market.bids
    assert usdc(room.floor) in next(row for row in rows if "Floor" in row)
    assert usdc(room.top_bid) in next(row for row in rows if "Top bid" in row)
    for quote in (*market.asks[:3], *market.bids[:3]):
        row = next(row for row in rows if room.agents[quote.agent].name in row and usdc(quote.price_usdc_micros) in row)
        assert row
    assert scene.lines[-1].text.split()[0] in text
    assert "seed 7" in rows[-1]
    assert "Ctrl-C ends" in rows[-1]


def test_every_stage_of_a_deal_is_shown() -> None:
    demo = Demo(preset="balanced_market", speed=1000, wait=lambda _pause: True)
    demo.open(7, 1)
    shown = set()
    for _line in demo.play():
        text = "\n".join(frame(demo.scene(), 80, 24))
        shown |= {stage for stage in ("○○○ locked", "○○ verifying", "○ executing", "● completed") if stage in text}
    assert len(shown) == 4
    assert demo.over


def test_pauses_let_people_read_and_do_not_let_them_wait() -> None:
    waits: list[float] = []

    def wait(pause: float) -> bool:
        waits.append(pause)
        return True

    demo = Demo(preset="balanced_market", speed=1, wait=wait)
    demo.open(7, 1)
    before_price, spoken_at, now = 0.0, [], 0.0
    for line in demo.play():
        now = sum(waits)
        if line is not None and line.kind is Kind.SAID:
            before_price = before_price or now
            spoken_at.append(now)
    assert before_price < 3
    between = sorted(b - a for a, b in pairwise(spoken_at))
    assert 0.4 < between[len(between) // 2] < 1.3


def test_a_log_cannot_steer_the_terminal() -> None:
    evil = Line(
        round=1, kind=Kind.SAID, text="\x1b[2J[bold]hi\u202e\r", agent="a", name="\x9bx", avatar="🦊", role=Role.BUYER,
        mood=Mood.CALM,
    )  # fmt: skip
    assert rich_line(evil).plain == "🦊 \ufffdx: \ufffd[2J[bold]hi\ufffd\ufffd"
    assert clean("a\nb") == "a\ufffdb"


def test_sparkline() -> None:
    assert sparkline([], 5) == ""
    assert sparkline([3, 3], 5) == "▁▁"
    assert sparkline([0, 50, 100], 2) == "▁█"
    assert sparkline([1, 2], 0) == ""


def test_an_empty_room_can_be_drawn() -> None:
    scene = Scene(Room(), (), (), about="seed 1", keys="Ctrl-C ends")
    assert len(frame(scene, 80, 24)) == 24
