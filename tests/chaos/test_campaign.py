"""A slice of a campaign, by the command: one seed of each mode, in which nearly every kind of victim is struck."""

from __future__ import annotations

import json
import subprocess

import pytest

from agentrooms.chaos.plan import ACTORS, CLOCK, draw_plan
from tests.cli.commands import AGENTROOMS, said, uncovered

FIRST, SEEDS = 64837, 2
TIMEOUT_S = 900  # the machine may have other things to do


def test_the_slice_is_wide() -> None:
    """What these seeds draw; others, when the menu has changed."""
    plans = [draw_plan(FIRST + n) for n in range(SEEDS)]
    struck = {strike.victim for plan in plans for group in plan.groups for strike in group.strikes}
    assert {plan.mode for plan in plans} == {"reproducible", "live"}
    assert struck == {*ACTORS, "disk", "node", "postgres"}
    assert any(strike.how == CLOCK for plan in plans for group in plan.groups for strike in group.strikes)


@pytest.mark.xdist_group("up")
def test_nothing_is_lost_whatever_is_struck() -> None:
    """In a process of its own, with services of its own."""
    done = subprocess.run(
        [AGENTROOMS, "chaos", "--first", str(FIRST), "--seeds", str(SEEDS), "--json"],
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
        env=uncovered(),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["failed"] == []
    assert summary["seeds"] == {"live": 1, "reproducible": 1}
    assert summary["restarts"] > 0
    assert sum(summary["struck"].values()) > summary["missed"]


@pytest.mark.parametrize("wrong", [("--mode", "dead"), ("--seeds", "0"), ("--seed", "x")])
def test_wrong_usage_is_refused_before_anything_starts(wrong: tuple[str, str]) -> None:
    """With what to write instead."""
    _out, err = said("chaos", *wrong, code=2)
    assert wrong[1] in err
