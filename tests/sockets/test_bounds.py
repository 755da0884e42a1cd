"""How many connections there may be, and that nothing of one that went is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from agentrooms.api.sockets import session
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


def test_who_goes_watches_no_more(narrow: Process, store: PostgresLog, redis_url: str) -> None:
    room = Room(store, redis_url)
    with closing(Client(narrow)) as client:
        client.join(room)
        assert len(narrow.sockets.hub._feeds[room.id].watchers) == 1
    until(lambda: not narrow.sockets.hub._feeds[room.id].watchers)
