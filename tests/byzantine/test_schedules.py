"""With at most two faulty verifiers of seven, whatever they do and whenever: safety, liveness, and no false word."""

from __future__ import annotations

from hypothesis import given

from tests.byzantine.invariants import breaches
from tests.byzantine.schedules import schedules
from tests.byzantine.world import Schedule, World


@given(schedules())
def test_whatever_two_do_all_invariants_hold(schedule: Schedule) -> None:
    """A real room, a real settlement, real verifiers; delays, deaths, other settlements and an unstable chain."""
    assert breaches(World(schedule).play()) == []
