"""The concession curves are what their formulas say, for every permille."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from agentrooms.domain.market import PERMILLE
from agentrooms.domain.strategies.curves import boulware, conceder, ramp

CURVES: dict[str, Callable[[int], int]] = {
    "boulware_beta_0.2": partial(boulware, power=5),
    "boulware_beta_0.5": partial(boulware, power=2),
    "conceder_beta_3": conceder,
    "ramp_from_0": partial(ramp, begins_permille=0),
    "ramp_from_750": partial(ramp, begins_permille=750),
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_a_curve_begins_at_nothing_ends_at_all_and_never_turns_back(curve: Callable[[int], int]) -> None:
    values = [curve(t) for t in range(PERMILLE + 1)]
    assert values[0] == 0
    assert values[-1] == PERMILLE
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("curve", "at", "given"),
    [
        ("boulware_beta_0.2", 500, 31),
        ("boulware_beta_0.2", 800, 327),
        ("boulware_beta_0.5", 500, 250),
        ("conceder_beta_3", 125, 500),
        ("conceder_beta_3", 124, 498),
        ("conceder_beta_3", 729, 900),
        ("ramp_from_750", 750, 0),
        ("ramp_from_750", 875, 500),
    ],
)
def test_a_curve_at_chosen_times(curve: str, at: int, given: int) -> None:
    assert CURVES[curve](at) == given


def test_the_conceder_is_the_exact_integer_cube_root() -> None:
    for t in range(PERMILLE + 1):
        root = conceder(t)
        assert root**3 <= t * PERMILLE**2 < (root + 1) ** 3


def test_who_holds_out_gives_less_at_all_times_than_who_yields() -> None:
    for t in range(PERMILLE + 1):
        assert boulware(t, 5) <= boulware(t, 2) <= t <= conceder(t)
