"""Each guard of an append is needed: with one taken out, the concurrency machine finds a broken log.

A test that no missing guard can fail would prove nothing about them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from agentrooms.events import journal
from agentrooms.events.store import Condition, Query, QueryItem
from tests.events.concurrency import Rooms
from tests.events.oracle import Violation

# Derandomised, so that the budget is a fact: what is found today is found tomorrow.
BUDGET = settings(
    max_examples=1_000,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

Guard = Callable[[QueryItem], bool]


def is_fence(item: QueryItem) -> bool:
    return item.types == () and item.tags[0].startswith(("room:", "platform"))


def is_once(item: QueryItem) -> bool:
    return item.types == () and item.tags[0].startswith("cmd:")


def is_lock(item: QueryItem) -> bool:
    return item.types == journal.LOCK_TYPES


def take_out(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    """Lets the journal state its conditions without one guard; what it reads stays as it is."""

    def condition(query: Query, after: int) -> Condition:
        return Condition(tuple(item for item in query if not guard(item)), after)

    monkeypatch.setattr(journal, "Condition", condition)


def no_command_is_ever_done(self: journal.Journal, cmd: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("guard", "broken"),
    [(is_fence, "follows|does not link"), (is_once, "second effect|second time"), (is_lock, "twice|exceeds")],
)
def test_without_a_guard_the_log_breaks(guard: Guard, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fence keeps chains linked, `once` keeps effects single, the lock keeps items and money."""
    take_out(monkeypatch, guard)
    if guard is is_once:
        monkeypatch.setattr(journal.Journal, "is_done", no_command_is_ever_done)
    with pytest.raises(Violation, match=broken):
        run_state_machine_as_test(Rooms, settings=BUDGET)


@pytest.mark.parametrize("half", [0, 1], ids=["item", "wallet"])
def test_without_half_of_the_lock_the_log_breaks(half: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Item and wallet each need their own condition."""
    prefix = ("nft:", "wallet:")[half]
    take_out(monkeypatch, lambda item: item.types == journal.LOCK_TYPES and item.tags[0].startswith(prefix))
    with pytest.raises(Violation, match=("item .* is locked twice", "exceeds its budget")[half]):
        run_state_machine_as_test(Rooms, settings=BUDGET)


def test_with_all_guards_the_same_budget_finds_nothing() -> None:
    """The same examples: it is the guards that make the difference."""
    run_state_machine_as_test(Rooms, settings=settings(BUDGET, max_examples=40))


@pytest.mark.parametrize("guard", [is_fence, is_once, is_lock])
def test_each_guard_stands_in_the_conditions_it_is_taken_out_of(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predicates here recognise real query items."""
    from tests.domain.samples import TERMS

    items = [*journal.fence("room_1"), *journal.once("c"), *journal.locks_of(TERMS)]
    assert [item for item in items if guard(item)] != []
    assert sum(guard(item) for item in items) == (2 if guard is is_lock else 1)
