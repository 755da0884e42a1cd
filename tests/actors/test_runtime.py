"""The local runtime: order of sending within one moment, virtual time between moments, and a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.actors import runtime as runtime_
from agentrooms.actors.messages import Message, Tick
from agentrooms.actors.runtime import LocalRuntime, RuntimeOverflow, Send


class Noting:
    """Notes the rounds of the ticks it gets, and when."""

    def __init__(self, runtime: LocalRuntime, notes: list[tuple[int, int]]) -> None:
        self.runtime = runtime
        self.notes = notes

    def receive(self, message: Message) -> list[Send]:
        assert isinstance(message, Tick)
        self.notes.append((self.runtime.now_ms, message.round))
        return []


class Relay:
    """Sends each tick on, after a delay."""

    def __init__(self, to: str, delay_ms: int) -> None:
        self.to = to
        self.delay_ms = delay_ms

    def receive(self, message: Message) -> list[Send]:
        return [Send(self.to, message, self.delay_ms)]


@given(st.lists(st.integers(0, 5), max_size=20))
def test_messages_arrive_by_time_and_then_in_the_order_of_sending(delays: list[int]) -> None:
    """A stable sort by due time, whatever the delays."""
    runtime, notes = LocalRuntime(), list[tuple[int, int]]()
    runtime.place("a", lambda: Noting(runtime, notes))
    for number, delay in enumerate(delays):
        runtime.tell("a", Tick(number), delay)
    runtime.run()
    assert notes == sorted((delay, number) for number, delay in enumerate(delays))


def test_time_passes_only_between_messages() -> None:
    """A relayed message is due its delay after it was handled, and the clock stands still in between."""
    runtime, notes = LocalRuntime(), list[tuple[int, int]]()
    runtime.place("a", lambda: Noting(runtime, notes))
    runtime.place("b", lambda: Relay("a", 1_000))
    runtime.tell("b", Tick(1), 5)
    assert (runtime.now_ms, runtime.next_at_ms()) == (0, 5)
    runtime.run()
    assert (notes, runtime.now_ms, runtime.next_at_ms()) == ([(1_005, 1)], 1_005, None)


def test_a_message_to_nobody_is_dropped_and_a_watched_one_is_seen() -> None:
    """By all who watch, in the order in which they came."""
    runtime, seen = LocalRuntime(), list[tuple[str, Message]]()
    runtime.watch("screen", lambda m: seen.append(("first", m)))
    runtime.watch("screen", lambda m: seen.append(("second", m)))
    runtime.tell("nobody", Tick(1))
    runtime.tell("screen", Tick(2))
    assert [runtime.step(), runtime.step(), runtime.step()] == [True, True, False]
    assert seen == [("first", Tick(2)), ("second", Tick(2))]


def test_more_messages_than_any_healthy_run_has_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound, not before; and after one is handled there is room again."""
    monkeypatch.setattr(runtime_, "MESSAGES_MAX", 3)
    runtime = LocalRuntime()
    for number in range(3):
        runtime.tell("nobody", Tick(number))
    with pytest.raises(RuntimeOverflow):
        runtime.tell("nobody", Tick(3))
    runtime.step()
    runtime.tell("nobody", Tick(3))


def test_a_rebuilt_actor_forgets_its_state_and_keeps_its_messages() -> None:
    """What was sent before still arrives, at the new one."""
    runtime = LocalRuntime()
    made: list[list[tuple[int, int]]] = []

    def make() -> Noting:
        made.append([])
        return Noting(runtime, made[-1])

    runtime.place("a", make)
    runtime.tell("a", Tick(1))
    runtime.tell("a", Tick(2), 10)
    runtime.step()
    runtime.rebuild("a")
    runtime.run()
    assert made == [[(0, 1)], [(10, 2)]]
