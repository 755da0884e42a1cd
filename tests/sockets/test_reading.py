"""Frames by number and a room at any moment, from the log."""

from __future__ import annotations

import pytest

from agentrooms.api.models.room_state import room_state
from agentrooms.api.problems import Problem
from agentrooms.api.sockets import reading
from agentrooms.api.sockets.reading import frames_after, state_at
from agentrooms.domain.folding import fold
from agentrooms.domain.room import Room as RoomAtOnce
from agentrooms.events.journal import fence
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.record import decode_line
from tests.sockets.stage import Room


def test_pages_make_up_the_log(store: PostgresLog, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_EVENTS", 4)
    room.round(7, private=True)
    whole = frames_after(store, room.id, 0, 1_000)
    assert [frame.seq for frame in whole] == list(range(1, room.head + 1))
    paged = [frame for after in range(0, room.head, 3) for frame in frames_after(store, room.id, after, 3)]
    assert paged == whole
    assert frames_after(store, room.id, room.head, 10) == []
    room.round(2)
    assert [frame.seq for frame in frames_after(store, room.id, room.head - 2, 10)] == [room.head - 1, room.head]


def test_a_room_at_any_moment(store: PostgresLog, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_EVENTS", 4)
    monkeypatch.setattr(reading, "MARK_EVENTS", 5)
    room.round(9)
    events = [decode_line(one.event.data).event for one in store.read(fence(room.id))]
    for seq in range(1, room.head + 1):
        assert state_at(store, room.id, seq) == room_state(fold(RoomAtOnce(), events[:seq]), seq)
    assert state_at(store, room.id).seq == room.head


def test_what_is_not_there_is_told(store: PostgresLog, room: Room) -> None:
    for wrong in (0, room.head + 1):
        with pytest.raises(Problem, match="no event") as problem:
            state_at(store, room.id, wrong)
        assert problem.value.status == 422
    with pytest.raises(Problem, match="no such room") as problem:
        frames_after(store, "room_nowhere", 0, 10)
    assert problem.value.status == 404


def test_only_the_rooms_last_asked_for_are_kept(
    store: PostgresLog, redis_url: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROOMS_KEPT", 1)
    other = Room(store, redis_url)
    for one in (room, other, room):
        assert state_at(store, one.id).room_id == one.id
    assert list(reading._KEPT[store]._rooms) == [room.id]
