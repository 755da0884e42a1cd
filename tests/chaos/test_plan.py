"""What a seed draws: the same every time, everything of the menu in a campaign, points that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import agentrooms
from agentrooms.chaos.plan import ACTORS, MODES, POINTS, Mode, Plan, Strike, draw_plan, menu

SEEDS = 200  # of a whole campaign


def kinds(plans: list[Plan]) -> set[Strike]:
    return {Strike(s.victim, s.how, point=s.point) for plan in plans for group in plan.groups for s in group.strikes}


def test_a_seed_always_draws_the_same_plan() -> None:
    """And other seeds draw others."""
    assert draw_plan(7) == draw_plan(7)
    assert len({str(draw_plan(seed)) for seed in range(50)}) == 50
    assert [draw_plan(seed).mode for seed in range(4)] == [*MODES, *MODES]
    assert draw_plan(7, "reproducible").mode == "reproducible"


@pytest.mark.parametrize("mode", MODES)
def test_a_campaign_strikes_everything_in_every_way(mode: Mode) -> None:
    """In both modes; a reproducible run has no desk and no Redis."""
    plans = [plan for plan in map(draw_plan, range(SEEDS)) if plan.mode == mode]
    assert kinds(plans) == set(menu(mode))
    struck = {strike.victim for strike in menu(mode)}
    assert struck >= {*ACTORS, "postgres", "node", "disk", "system"} - ({"desk"} if mode == "reproducible" else set())


def test_every_point_is_in_the_program() -> None:
    """A point that nobody passes would never strike."""
    sources = "".join(p.read_text(encoding="utf-8") for p in Path(agentrooms.__file__).parent.rglob("*.py"))
    passed = set(re.findall(r'\b(?:hit|_mark)\("([a-z_.]+)"[,)]', sources))
    assert {point for points in POINTS.values() for point in points} <= passed
