"""Whatever is lost, slow or killed: every client ends with exactly the room's log, in order, none doubled."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrooms.api.sockets.service import Sockets
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.services.redis import Redis
from tests.sockets.stage import QUICK, Client, Process, Room, serving, until


class Deaf(Process):
    """A process whose hub listens to another Redis than what else there is."""

    def __init__(self, store: PostgresLog, redis_url: str, hub_redis_url: str) -> None:
        self._hub_redis_url = hub_redis_url
        super().__init__(store, redis_url)

    def _make(self) -> Sockets:
        sockets = super()._make()
        sockets.hub._redis_url = self._hub_redis_url
        return sockets


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("round"), st.integers(1, 4), st.booleans(), st.booleans()),
        st.tuples(st.sampled_from(["drop", "move", "rejoin", "read"])),
    ),
    max_size=12,
)


@settings(max_examples=15)
@given(steps=STEPS)
def test_any_interleaving_of_losses_and_reconnects_ends_with_the_log(
    process: Process, second: Process, store: PostgresLog, redis_url: str, steps: list[tuple[object, ...]]
) -> None:
    """Rounds go out through Redis or not; the client is cut, comes back here or elsewhere, with the last it has."""
    room = Room(store, redis_url)
    where, seen = [process, second], list[dict[str, object]]()
    client = Client(where[0])
    client.join(room, after=0)

    def catch_up() -> None:
        while len(seen) + len(client.events) < room.head:
            client.next()

    for step in steps:
        match step:
            case ("round", int(lines), bool(private), bool(publish)):
                room.round(lines, private=private, publish=publish)
            case ("read",):
                catch_up()
            case ("rejoin",):
                seen += client.events
                client.join(room, after=len(seen))
                client.events = []  # what was on its way comes again
            case (str(how),):
                seen += client.events
                client.close()
                if how == "move":
                    where.reverse()
                client = Client(where[0])
                client.join(room, after=len(seen))
    with closing(client):
        catch_up()
        assert seen + client.events == room.frames()


@pytest.fixture(scope="module")
def second(store: PostgresLog, redis_url: str) -> Iterator[Process]:
    with serving(store, redis_url) as process:
        yield process


def test_a_slow_reader_is_told_to_come_again_and_holds_up_nobody(process: Process, room: Room) -> None:
    with closing(Client(process, max_queue=1)) as slow, closing(Client(process)) as quick:
        slow.join(room)
        quick.join(room)
        first, sessions = room.head + 1, list(process.sockets.sessions)  # one that is closed is soon forgotten there
        while not any(session.outbox.closing for session in sessions):
            room.round(400)
            assert quick.until(room.head) == list(range(first, room.head + 1))
        assert slow.closed() == (4409, "lagged, resume with after")
        seqs = [event["seq"] for event in slow.events]
        assert seqs == list(range(first, first + len(seqs)))
        assert len(seqs) < room.head - first + 1


def test_redis_killed_and_back(store: PostgresLog, tmp_path: Path) -> None:
    server = Redis(tmp_path / "redis")
    url = server.start()
    try:
        room = Room(store, url)
        with serving(store, url) as process, closing(Client(process)) as client:
            client.join(room)
            first = room.head + 1
            until(lambda: process.sockets.hub.redis_is_here)
            room.round()
            client.until(room.head)
            server.stop()
            room.round(private=True)
            client.until(room.head)
            until(lambda: not process.sockets.hub.redis_is_here)
            room.round()
            client.until(room.head)
            server.start()
            until(lambda: process.sockets.hub.redis_is_here)
            room.round()
            assert client.until(room.head) == list(range(first, room.head + 1))
            assert client.events == room.frames()[first - 1 :]
    finally:
        server.stop()


def test_two_processes_on_one_redis_say_the_same(process: Process, second: Process, room: Room) -> None:
    with closing(Client(process)) as one, closing(Client(second)) as other:
        one.join(room)
        other.join(room)
        for n in range(20):
            room.round(private=n % 2 == 0)
        assert one.until(room.head) == other.until(room.head)
        assert one.events == other.events == room.frames()[-len(one.events) :]


def test_shutdown_tells_clients_to_come_again(store: PostgresLog, redis_url: str, room: Room) -> None:
    process = Process(store, redis_url, QUICK)
    idle, watching = Client(process), Client(process)
    watching.join(room)
    assert process.stop() < 3  # uvicorn would wait three seconds for a client that is not told to go
    for client in (idle, watching):
        assert client.closed()[0] == 1012
        client.close()


def test_rooms_that_nobody_watches_are_let_go_and_come_back(store: PostgresLog, redis_url: str, room: Room) -> None:
    with serving(store, redis_url, replace(QUICK, idle_s=0.0)) as process, closing(Client(process)) as client:
        client.join(room)
        client.say(type="leave_room", roomId=room.id)
        client.hear("left")
        until(lambda: process.sockets.hub.rooms == 0)
        room.round()
        assert client.join(room, after=room.head - 1)["recovered"]
        room.round()
        assert client.until(room.head)[-1] == room.head


def test_a_quiet_room_follows_a_busy_log(
    store: PostgresLog, redis_url: str, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    busy, idle = Room(store, None), Room(store, None)
    with serving(store, redis_url, replace(QUICK, idle_s=0.0)) as process, closing(Client(process)) as client:
        client.join(room)
        client.join(idle)
        feeds = process.sockets.hub._feeds
        busy.round()
        until(lambda: feeds[room.id].scanned == store.head())
        client.say(type="leave_room", roomId=idle.id)
        busy.round()
        until(lambda: list(feeds) == [room.id] and feeds[room.id].scanned == store.head())
    assert "failed" not in caplog.text


def test_a_redis_that_accepts_and_never_answers_holds_up_nothing(
    store: PostgresLog, redis_url: str, room: Room
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        process = Deaf(store, redis_url, f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        try:
            with mute.accept()[0], closing(Client(process)) as client:
                client.join(room)
                room.round()
                client.until(room.head)
            assert not process.sockets.hub.redis_is_here
        finally:
            process.stop()


@pytest.mark.parametrize("publish", [True, False])
def test_a_room_that_cannot_be_shown_takes_no_other_along(
    process: Process, store: PostgresLog, redis_url: str, publish: bool
) -> None:
    broken, other = Room(store, redis_url), Room(store, redis_url)
    with closing(Client(process)) as one, closing(Client(process)) as two:
        one.join(broken)
        two.join(other)
        process.sockets.hub._feeds[broken.id].fold.room = None  # type: ignore[assignment]
        broken.round(publish=publish)
        other.round(publish=publish)
        assert two.until(other.head)[-1] == other.head
        assert one.closed() == (4409, "the room's log has changed, join again")
    with closing(Client(process)) as one:
        assert one.join(broken)["head"] == broken.head


def test_time_goes_on_when_presence_fails(store: PostgresLog, redis_url: str, room: Room) -> None:
    with serving(store, redis_url) as process, closing(Client(process)) as client:
        client.join(room)
        presence, redis_client = process.sockets._presence, process.sockets._presence._redis
        presence._redis = None  # type: ignore[assignment]
        presence._due_s = 0.0
        for _ in range(3):
            client.hear("hb")
        presence._redis = redis_client


def test_a_log_that_does_not_go_on_as_it_was_read_is_read_anew(process: Process, room: Room) -> None:
    with closing(Client(process)) as client:
        client.join(room)
        process.sockets.hub._feeds[room.id].fold.hash = "f" * 64
        room.round()
        assert client.closed() == (4409, "the room's log has changed, join again")
    with closing(Client(process)) as client:
        assert client.join(room)["head"] == room.head
