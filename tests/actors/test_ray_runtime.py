"""A room's loop: whatever way calls to other processes fail, a run comes to the bytes it has in one process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrooms.actors import ray_runtime
from agentrooms.actors.lives import Lives
from agentrooms.actors.messages import AskAgain, Message, Pace, Tick
from agentrooms.actors.plans import Parts, Plan, room_address
from agentrooms.actors.ray_runtime import ActorLost, RayRuntime, Reply
from agentrooms.actors.room import RoomActor
from agentrooms.actors.runtime import Actor, Send
from agentrooms.chain.ledger import LedgerChain
from agentrooms.domain.room import RoomStatus
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.vault import MemoryVault
from agentrooms.language import ScriptedNarrator
from agentrooms.sim.genesis import Genesis
from agentrooms.sim.settings import preset
from tests.domain import runs

SETTINGS = preset("small_test", 1)
FAULTS = ("lost", "died before", "died after", "answer lost")


class Died(Exception):
    """The other process is gone."""


class Process:
    """Another process with the actors of one plan; calls to it may fail in every way that Ray knows."""

    def __init__(self, plan: Plan, parts: Parts, fault: Callable[[], str]) -> None:
        self._make = partial(Lives, plan, parts)
        self._lives = self._make()
        self._fault = fault

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Future[Reply]:
        answer: Future[Reply] = Future()
        fault = self._fault()
        if fault == "died before":
            self._lives = self._make()
        if fault in {"lost", "died before"}:
            answer.set_exception(Died())
            return answer
        reply = self._lives.deliver(sender, number, address, message)
        if fault == "died after":
            self._lives = self._make()
        if fault in {"died after", "answer lost"}:
            answer.set_exception(Died())
        else:
            answer.set_result(reply)
        return answer


def run(faults: list[str], *, hosts: int = 2, drops: tuple[int, ...] = ()) -> tuple[bytes, ...]:
    """The log of a run whose calls meet these faults, spread over it; "" is none.

    After so many calls as in `drops` the room's own process dies, with its loop and all that is under way.
    """
    genesis = Genesis(SETTINGS, hosts=hosts)
    memory = MemoryVault()
    chain = LedgerChain(memory)
    parts = Parts(MemoryEventStore(), MemoryVault(), memory, chain, ScriptedNarrator())
    genesis.write(parts, chain.provide)
    plans: dict[str, Plan] = {f"verifier:{plan.name}": plan for plan in genesis.verifier_plans}
    plans["settlement"] = genesis.settlement_plan
    coming = iter(faults)
    calls = 0

    def fault() -> str:
        nonlocal calls
        calls += 1
        return next(coming, "")

    processes: dict[str, Process] = {}

    def connect(address: str) -> Process:
        key = "settlement" if address.startswith("settlement:") else address
        plan = plans.get(key, genesis.room_plan())
        return processes.setdefault(key, Process(plan, parts, fault))

    address = room_address(genesis.room_id)
    for end in (*sorted(drops), None):
        made = genesis.room_plan().make(address, parts)
        assert isinstance(made, RoomActor)
        room = made
        live(connect, genesis, room, until=lambda end=end: end is not None and calls >= end)  # type: ignore[misc]
    genesis.finish(parts.store, room.room)
    return tuple(p.event.data for p in parts.store.read())


def live(connect: Callable[[str], Process], genesis: Genesis, room: RoomActor, until: Callable[[], bool]) -> None:
    """One life of the room's process, to its end or that of the room."""
    loop, address = RayRuntime(connect, virtual=True), room_address(genesis.room_id)
    loop.on_reborn(f"settlement:{genesis.room_id}", lambda: loop.tell(address, AskAgain()))
    loop.place(address, lambda: room)
    loop.tell(address, Tick(room.room.round + 1))
    loop.run(until=lambda: until() or room.room.status is RoomStatus.INACTIVE)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent again without a pause."""
    monkeypatch.setattr(ray_runtime, "BACKOFF_S", (0.0, 0.0))


@pytest.mark.parametrize("hosts", [0, 1, 3])
def test_without_faults_it_is_the_run_of_one_process(hosts: int) -> None:
    assert run([], hosts=hosts) == runs.lines(SETTINGS)


@settings(max_examples=max(10, settings().max_examples // 4))
@given(st.lists(st.sampled_from(["", "", "", *FAULTS]), max_size=900))
def test_faults_change_no_byte(faults: list[str]) -> None:
    """Lost calls, lost answers, deaths before and after the work; also many in a row."""
    assert run(faults) == runs.lines(SETTINGS)


@settings(max_examples=max(15, settings().max_examples // 3))
@given(
    st.lists(st.integers(1, 900), max_size=8),
    st.lists(st.sampled_from(["", "", "", *FAULTS]), max_size=400),
)
def test_a_room_whose_process_dies_with_all_that_is_under_way_changes_no_byte(
    drops: list[int], faults: list[str]
) -> None:
    """Also while votes are out: settlement lives on, and is told anew what is open."""
    assert run(faults, drops=tuple(drops)) == runs.lines(SETTINGS)


def test_votes_that_were_out_when_the_room_died_are_asked_for_again() -> None:
    """The room dies after every single call from the first lock on, for twenty calls."""
    for first in range(180, 200):
        assert run([], drops=tuple(range(first, first + 20))) == runs.lines(SETTINGS)


def test_an_actor_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_runtime, "RESENDS_MAX", 20)
    with pytest.raises(ActorLost, match="in 20 attempts"):
        run(["lost"] * 10_000)


class Ticking:
    """A room that only ticks, and notes by the loop's clock when."""

    def __init__(self, round_ms: int) -> None:
        self.round_ms = round_ms
        self.seen: list[int] = []
        self.clock: Callable[[], int] = lambda: 0

    def receive(self, message: Message) -> list[Send]:
        assert isinstance(message, Tick)
        self.seen.append(self.clock())
        return [Send("room:r", Tick(message.round + 1), self.round_ms)]


def ticking(round_ms: int, speed: int, *, virtual: bool = False) -> tuple[RayRuntime, Ticking]:
    def nobody(address: str) -> Process:
        raise AssertionError(address)

    loop, room = RayRuntime(nobody, virtual=virtual, speed=speed), Ticking(round_ms)
    room.clock = lambda: loop.now_ms
    actor: Actor = room
    loop.place("room:r", lambda: actor)
    loop.tell("room:r", Tick(1))
    return loop, room


def gaps(room: Ticking) -> list[int]:
    return [later - earlier for earlier, later in zip(room.seen, room.seen[1:], strict=False)]


@pytest.mark.parametrize(("speed", "at_least_ms"), [(1, 20), (10, 2), (0, 0)])
def test_rounds_keep_a_pace_by_the_wall(speed: int, at_least_ms: int) -> None:
    """Never faster than asked; how much slower is the machine's affair."""
    loop, room = ticking(20, speed)
    loop.run(until=lambda: len(room.seen) == 6)
    assert min(gaps(room)) >= at_least_ms


def test_a_new_pace_counts_from_the_round_that_waits() -> None:
    """A room that would sleep for an hour wakes at once when it is told to hurry."""
    loop, room = ticking(3_600_000, 1)
    loop.run(until=lambda: len(room.seen) == 1)
    loop.tell("room:r", Pace(0))
    loop.run(until=lambda: len(room.seen) == 3)
    assert max(gaps(room)) < 3_600_000


def test_virtual_time_takes_no_time() -> None:
    loop, room = ticking(3_600_000, 1, virtual=True)
    loop.tell("room:r", Pace(10))
    loop.run(until=lambda: len(room.seen) == 5)
    assert gaps(room) == [3_600_000] * 4
