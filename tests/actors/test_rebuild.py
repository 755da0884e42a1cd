"""Any actor may die after any message: rebuilt from the log, the run ends in the same bytes."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrooms.domain.ids import derive_id
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.sim.settings import Intervention, RunSettings, custom
from tests.domain import runs

HOSTS = 2
SMALL = runs.settings("small_test", 1)
BUYER, SELLER = (derive_id("agent", derive_id("run", SMALL.seed), role, 0) for role in Role)
CHANGES = (
    Intervention(round=20, agent=BUYER, strategy=StrategyName.AGGRESSIVE),
    Intervention(round=0, agent=SELLER, removed=True),
    Intervention(round=60, agent=BUYER, strategy=StrategyName.SNIPER, style=Style.FORMAL),
)
CASES = {
    "changed": (msgspec.structs.replace(SMALL, interventions=CHANGES), 0),
    "small": (runs.settings("small_test", 1), 0),
    "underfunded": (runs.settings("small_test", 2, underfunded=1000), 0),
    "two_silent": (runs.settings("small_test", 1), 2),
    "hasty": (msgspec.structs.replace(SMALL, deal_ms=2_000), 0),
    "no_quorum": (runs.settings("small_test", 1), 3),
    "crowded": (custom(2, 12, 12), 2),  # slow verifications with other jobs queued behind them
}


def rebuilt(run: RunSettings, silent: int, kills: dict[int, list[str]]) -> tuple[bytes, ...]:
    """The log of a run in which actors die after the given numbers of messages."""
    made = runs.engine(run, silent=silent, hosts=HOSTS)
    count = 0
    while made.runtime.step():
        count += 1
        for address in kills.get(count, ()):
            made.runtime.rebuild(address.replace("ROOM", made.room_id))
    made.finish()
    return runs.log_of(made)


@cache
def steps(run: RunSettings, silent: int) -> int:
    """How many messages a run has."""
    made = runs.engine(run, silent=silent, hosts=HOSTS)
    count = 0
    while made.runtime.step():
        count += 1
    return count


@pytest.mark.parametrize(
    "victim", ["room:ROOM", "settlement:ROOM", "host:ROOM:0", "host:ROOM:1", "verifier:verifier_7"]
)
@pytest.mark.parametrize("case", CASES)
def test_one_death_anywhere_changes_no_byte(case: str, victim: str) -> None:
    """One victim, killed after each of many messages spread over the run, a run each."""
    run, silent = CASES[case]
    expected = runs.lines(run, silent)
    total = steps(run, silent)
    for after in range(1, total, max(1, total // 10)):
        assert rebuilt(run, silent, {after: [victim]}) == expected, f"killed after message {after} of {total}"


ROOMS_OWN = ["room:ROOM", "settlement:ROOM", "host:ROOM:0", "host:ROOM:1"]
VICTIMS = st.sampled_from([*ROOMS_OWN, *(f"verifier:verifier_{n}" for n in range(4, 8))])


@settings(max_examples=max(15, settings().max_examples // 3))
@given(
    st.sampled_from(sorted(CASES)),
    st.dictionaries(st.integers(1, 1_500), st.lists(VICTIMS, min_size=1, max_size=3), min_size=1, max_size=6),
)
def test_many_deaths_change_no_byte(case: str, kills: dict[int, list[str]]) -> None:
    """Several victims, at once and one after the other."""
    run, silent = CASES[case]
    assert rebuilt(run, silent, kills) == runs.lines(run, silent)
