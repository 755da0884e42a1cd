"""How many connections there may be, and that nothing of one that went is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from agentrooms.api.problems import Problem
from agentrooms.api.sockets import hub, session
from agentrooms.api.sockets.feed import RESUMED_MAX
from agentrooms.api.sockets.hub import Hub
from agentrooms.api.sockets.outbox import WAITING_MAX, Outbox
from agentrooms.events.postgres_log import PostgresLog
from tests.sockets.stage import QUICK, Client, Process, Room, serving, until

BOUNDS = replace(QUICK, connections=4, per_address=3, per_user=2)


@pytest.fixture(scope="module")
def narrow(store: PostgresLog, redis_url: str) -> Iterator[Process]:
    with serving(store, redis_url, BOUNDS) as process:
        yield process


def test_connections_of_an_address_and_of_a_user_are_bounded(narrow: Process) -> None:
    with ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(closing(Client(narrow, "ann")))
            client.hear("authenticated")
        third = clients.enter_context(closing(Client(narrow, "ann")))
        assert third.hear("error")["code"] == "rate_limited"
        assert third.closed()[0] == 4429
        until(lambda: len(narrow.sockets.sessions) == 2)
        ben = clients.enter_context(closing(Client(narrow, "ben")))
        ben.hear("authenticated")
        fourth = clients.enter_context(closing(Client(narrow, "ben")))
        assert fourth.closed()[0] == 4429
    until(lambda: not narrow.sockets.sessions)
    assert not narrow.sockets._of_address
    assert not narrow.sockets._of_user
    assert not narrow.sockets._due


def test_rooms_of_a_connection_are_bounded(
    narrow: Process, store: PostgresLog, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ROOMS_MAX", 1)
    one, other = Room(store, redis_url), Room(store, redis_url)
    with closing(Client(narrow)) as client:
        client.join(one)
        client.join(one)
        client.say(type="join_room", roomId=other.id)
        assert client.hear("error")["code"] == "rate_limited"
        client.say(type="leave_room", roomId=one.id)
        client.join(other)


def test_joins_of_a_minute_are_bounded(
    narrow: Process, store: PostgresLog, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "JOINS_A_MINUTE", 2)
    room = Room(store, redis_url)
    with closing(Client(narrow)) as client:
        client.join(room)
        client.join(room)
        client.say(type="join_room", roomId=room.id)
        assert client.hear("error")["code"] == "rate_limited"
        room.round()
        client.until(room.head)


def test_who_missed_much_of_many_rooms_gets_all_of_it(narrow: Process, store: PostgresLog) -> None:
    rooms = [Room(store, None) for _ in range(WAITING_MAX // RESUMED_MAX + 1)]
    for room in rooms:
        room.round(RESUMED_MAX)
    with closing(Client(narrow)) as client:
        for room in rooms:
            client.join(room)
        for room in rooms:
            client.say(type="join_room", roomId=room.id, after=room.head - RESUMED_MAX)
        while len(client.events) < len(rooms) * RESUMED_MAX:
            client.next()
    got = [(event["roomId"], event["seq"]) for event in client.events]
    assert got == [(r.id, seq) for r in rooms for seq in range(r.head - RESUMED_MAX + 1, r.head + 1)]


def test_nobody_is_left_watching_a_room_that_was_let_go(store: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ROOMS_MAX", 1)
    monkeypatch.setattr(hub, "FRESH_S", 0.0)
    rooms = [Room(store, None).id for _ in range(4)]

    async def play() -> int:
        one = Hub(store, None, look_s=0.2, idle_s=0.0)
        await one.start()
        outboxes = {room: Outbox() for room in rooms}
        try:
            asked = [one.watch(room, outbox, None, None) for room, outbox in outboxes.items()]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(answer, dict | Problem) for answer in answers)
            watched = [room for room, answer in zip(rooms, answers, strict=True) if isinstance(answer, dict)]
            assert all(outboxes[room] in one._feeds[room].watchers for room in watched)
            return len(watched)
        finally:
            await one.stop()

    assert asyncio.run(play()) >= 1


def test_who_goes_watches_no_more(narrow: Process, store: PostgresLog, redis_url: str) -> None:
    room = Room(store, redis_url)
    with closing(Client(narrow)) as client:
        client.join(room)
        assert len(narrow.sockets.hub._feeds[room.id].watchers) == 1
    until(lambda: not narrow.sockets.hub._feeds[room.id].watchers)
