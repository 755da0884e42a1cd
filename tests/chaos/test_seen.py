"""The oracle of what clients see finds each kind of damage: a frame that is dropped, doubled, swapped or changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agentrooms.api.models.room_state import room_state
from agentrooms.chaos import oracle
from agentrooms.chaos.seen import Frame, Seen, check_seen, check_snapshots, check_words, frames_of
from agentrooms.chaos.socket_plan import FAULTS, draw_socket_plan
from agentrooms.domain.folding import fold
from agentrooms.domain.room import PersonSpoke, Room
from agentrooms.events.record import Recorded
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset

WALLET = f"0x{1:040x}"


def room_of_a_run() -> list[Recorded]:
    """A room's whole log."""
    engine = Engine(preset("small_test", 7))
    engine.run()
    events = oracle.recorded(engine.store.read())
    (room,) = oracle.rooms_of(events)
    return [event for event in events if event.chain == room]


EVENTS = room_of_a_run()
LOG = frames_of(EVENTS)
HEAD = len(LOG)


def seen(frames: list[Frame], first: int = 1) -> Seen:
    """What a client has that began at an event."""
    made = Seen("client", EVENTS[0].chain)
    made.begin(first - 1)
    for frame in frames:
        made.take(frame)
    return made


@given(first=st.integers(1, HEAD + 1))
def test_whoever_has_all_from_its_first_event_on_is_well(first: int) -> None:
    assert check_seen(seen(LOG[first - 1 :], first), LOG) == []


def dropped(frames: list[Frame], place: int) -> None:
    del frames[place]


def doubled(frames: list[Frame], place: int) -> None:
    frames.insert(place, frames[place])


def swapped(frames: list[Frame], place: int) -> None:
    frames[place], frames[place - 1] = frames[place - 1], frames[place]


def changed(frames: list[Frame], place: int) -> None:
    frames[place] = {**frames[place], "ts": "2026-01-01T00:00:00.000Z"}


def told(frames: list[Frame], place: int) -> None:
    """What a private event says must not be in its frame."""
    frames[place] = {**frames[place], "reasons": {}}


@pytest.mark.parametrize("damage", [dropped, doubled, swapped, changed, told])
@given(data=st.data())
def test_damage_to_one_frame_is_found(damage: Callable[[list[Frame], int], None], data: Any) -> None:
    first = data.draw(st.integers(1, HEAD - 1))
    frames = LOG[first - 1 :]
    damage(frames, data.draw(st.integers(1, len(frames) - 1)))
    assert len(check_seen(seen(frames, first), LOG)) == 1


def test_private_events_have_no_body() -> None:
    private = [frame for frame in LOG if frame["type"] == "private"]
    assert private
    assert {frozenset(frame) for frame in private} == {frozenset({"type", "roomId", "logId", "seq", "ts", "v"})}


def test_a_client_that_saw_nothing_or_noted_a_fault_is_found() -> None:
    nobody = Seen("client", EVENTS[0].chain)
    assert check_seen(nobody, LOG) == [f"client: never saw room {EVENTS[0].chain}"]
    warned = seen(LOG)
    warned.fault("event 9 came behind event 7 on one connection")
    warned.again(LOG[4])
    warned.again({**LOG[4], "v": 2})
    assert check_seen(warned, LOG) == [
        "client: event 9 came behind event 7 on one connection",
        "client: event 5 came again as another",
    ]


def test_a_snapshot_of_another_moment_is_found() -> None:
    middle = HEAD // 2
    state = room_state(fold(Room(), (one.event for one in EVENTS[:middle])), middle).model_dump(mode="json")
    client = seen(LOG)
    client.snapshots.append((middle, state, LOG[middle - 10 : middle]))
    assert check_snapshots(client, EVENTS, LOG) == []
    client.snapshots.append((middle, {**state, "seq": middle - 1}, LOG[middle - 11 : middle - 1]))
    assert len(check_snapshots(client, EVENTS, LOG)) == 2


def test_words_that_are_lost_or_said_twice_are_found() -> None:
    def spoke(text: str) -> Recorded:
        return structs.replace(EVENTS[0], event=PersonSpoke(user="user", wallet=WALLET, text=text, round=1))

    acked = [(WALLET, {"m-1": "one", "m-2": "two"})]
    assert check_words(acked, [spoke("one"), spoke("two"), spoke("three")]) == []
    assert check_words(acked, [spoke("one")]) == [f"'two' of {WALLET} was acknowledged and is not in the log"]
    assert check_words([], [spoke("one"), spoke("one")]) == [f"'one' of {WALLET} is 2 times in the log"]


def test_any_seeds_in_a_row_strike_each_fault() -> None:
    first = [draw_socket_plan(seed).faults[0].what for seed in range(100, 100 + len(FAULTS))]
    assert sorted(first) == sorted(FAULTS)
