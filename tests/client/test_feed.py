"""Feeds over real sockets: connections that break, frames that are lost, processes that end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from agentrooms.api.home import Home
from agentrooms.api.models.rooms import EventsPage
from agentrooms.api.sockets.reading import frames_after
from agentrooms.client import ApiUnreachable, AsyncClient, Client, FeedRefused, LogChanged, RoomFeed
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.live.commands import OpenRoom
from tests.sockets.stage import Process, Room, serving

ROUNDS = 15


class Direct:
    """What a feed asks of a client, answered from the log itself."""

    def __init__(self, store: PostgresLog, port: int) -> None:
        self.store = store
        self.url = f"http://127.0.0.1:{port}"
        self.filled = 0

    async def token(self, stale: str) -> str:
        return ""

    async def events(self, room: str, after: int, limit: int) -> EventsPage:
        self.filled += 1
        return EventsPage(events=tuple(frames_after(self.store, room, after, limit)), next_after=None)


@pytest.fixture(scope="module")
def store(postgres_dsn: str) -> Iterator[PostgresLog]:
    migrate_log(postgres_dsn, "client_feeds")
    with closing(PostgresLog(postgres_dsn, "client_feeds")) as log:
        yield log


@pytest.fixture(scope="module")
def process(store: PostgresLog, redis_url: str) -> Iterator[Process]:
    with serving(store, redis_url) as process:
        yield process


@pytest.fixture
def room(store: PostgresLog, redis_url: str) -> Room:
    return Room(store, redis_url)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrooms.client.feed.PAUSE_S", 0.01)
    monkeypatch.setattr("agentrooms.client.feed.CLOSE_S", 0.05)


@asynccontextmanager
async def faulty(port: int, draw: random.Random) -> AsyncIterator[int]:
    """A line to the sockets that loses frames and breaks; gives its port."""

    async def lossy(text: str | bytes, client: ServerConnection) -> None:
        fate = draw.random()
        if fate < 0.02:
            client.transport.abort()
        elif fate > 0.1 or '"type":"spectating"' in str(text):
            await client.send(text)

    async def carry(client: ServerConnection) -> None:
        async with connect(f"ws://127.0.0.1:{port}/ws", compression=None, max_size=None, close_timeout=0.1) as server:
            ways = [
                asyncio.create_task(_pass_on(client, server.send)),
                asyncio.create_task(_pass_on(server, lambda text: lossy(text, client))),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async with serve(carry, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=0.1) as line:
        yield next(iter(line.sockets)).getsockname()[1]


async def _pass_on(source: Connection, send: Callable[[Any], Any]) -> None:
    with suppress(ConnectionClosed):
        async for text in source:
            await send(text)


async def read_to(feed: RoomFeed, seq: int) -> list[int]:
    got: list[int] = []
    while not got or got[-1] < seq:
        got.append((await anext(feed)).seq)
    return got


@pytest.mark.parametrize("seed", range(2))
def test_every_event_comes_once_and_in_order_over_a_line_that_loses_and_breaks(
    seed: int, process: Process, store: PostgresLog, room: Room
) -> None:
    def write() -> None:
        for n in range(ROUNDS):
            room.round(private=n % 3 == 0)

    async def script() -> list[int]:
        async with (
            faulty(process.port, random.Random(seed)) as port,
            RoomFeed(Direct(store, port), room.id, after=0, silence_s=2.0) as feed,
        ):
            writing = asyncio.create_task(asyncio.to_thread(write))
            before = await read_to(feed, 20)
            await writing
            return before + (await read_to(feed, room.head) if before[-1] < room.head else [])

    assert asyncio.run(script()) == list(range(1, room.head + 1))


def test_a_process_that_ends_is_left_for_the_next_one(store: PostgresLog, redis_url: str, room: Room) -> None:
    async def script(first: Process, second: Process) -> list[int]:
        source = Direct(store, first.port)
        async with RoomFeed(source, room.id, after=0) as feed:
            got = await read_to(feed, room.head)
            source.url = f"http://127.0.0.1:{second.port}"
            await asyncio.to_thread(first.stop)
            await asyncio.to_thread(room.round)
            return got + await read_to(feed, room.head)

    with serving(store, redis_url) as second:
        assert asyncio.run(script(Process(store, redis_url), second)) == list(range(1, room.head + 1))


def test_more_than_is_sent_again_is_read_from_the_log(process: Process, store: PostgresLog, room: Room) -> None:
    async def script() -> tuple[list[int], int]:
        source = Direct(store, process.port)
        async with RoomFeed(source, room.id, after=1) as feed:
            return await read_to(feed, room.head), source.filled

    for _round in range(4):
        room.round(lines=100)

    got, filled = asyncio.run(script())

    assert got == list(range(2, room.head + 1))
    assert filled > 0


def test_a_feed_without_a_beginning_begins_where_the_room_is(process: Process, store: PostgresLog, room: Room) -> None:
    async def script() -> list[int]:
        async with RoomFeed(Direct(store, process.port), room.id) as feed:
            await feed.join()
            assert feed.snapshot is not None
            assert feed.snapshot.seq == head
            await asyncio.to_thread(room.round)
            got = await read_to(feed, room.head)
            assert (feed.seq, feed.log_id) == (room.head, feed.snapshot.log_id)
            return got

    head = room.head
    assert asyncio.run(script()) == list(range(head + 1, room.head + 1))


def test_a_silent_connection_is_taken_for_dead(store: PostgresLog, process: Process, room: Room) -> None:
    """One that is open and says nothing: a heartbeat is due, and there is none."""

    async def script() -> list[int]:
        async def say_nothing(client: ServerConnection) -> None:
            source.url = f"http://127.0.0.1:{process.port}"
            await client.wait_closed()

        async with serve(say_nothing, "127.0.0.1", 0) as line:
            source = Direct(store, next(iter(line.sockets)).getsockname()[1])
            async with RoomFeed(source, room.id, after=0, silence_s=0.5) as feed:
                return await read_to(feed, room.head)

    assert asyncio.run(script()) == list(range(1, room.head + 1))


def test_a_room_that_is_not_there_is_refused(process: Process, store: PostgresLog) -> None:
    async def script() -> None:
        async with RoomFeed(Direct(store, process.port), "room_none") as feed:
            await anext(feed)

    with pytest.raises(FeedRefused, match="no such room"):
        asyncio.run(script())


def test_another_log_ends_a_feed(process: Process, store: PostgresLog, room: Room) -> None:
    async def script() -> None:
        async with RoomFeed(Direct(store, process.port), room.id, after=3, log_id="b" * 12) as feed:
            await anext(feed)

    with pytest.raises(LogChanged):
        asyncio.run(script())


def test_attempts_in_vain_are_bounded(store: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrooms.client.feed.CONNECTS_MAX", 3)

    async def script() -> None:
        async with RoomFeed(Direct(store, 1), "room_a") as feed:
            await anext(feed)

    with pytest.raises(ApiUnreachable, match="3 attempts"):
        asyncio.run(script())


# --- With the clients ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoken(home: Home) -> str:
    """A room with something in its log."""
    return home.asking.ask(OpenRoom(id="feeds", name="The feeds'", collection=None)).room


def test_both_clients_watch_signed_in_or_not(url: str, spoken: str) -> None:
    with Client(url) as speaker, Client(url) as spectator:
        speaker.sign_in("5e" * 32)
        with spectator.watch(spoken, after=0) as watched, speaker.watch(spoken, after=0) as own:
            speaker.send_message(spoken, "Good evening.")
            for feed in (watched, own):
                frame = next(one for one in feed if one.type == "user_message")
                assert (frame.seq, frame.message) == (feed.seq, "Good evening.")


def test_an_awaited_feed_fills_from_the_api_with_a_token_that_is_renewed(url: str, spoken: str) -> None:
    async def script() -> list[int]:
        async with AsyncClient(url) as client:
            await client.sign_in("5f" * 32)
            client.session.access = "eyJhbGciOiJIUzI1NiJ9.e30.forged"
            async with client.watch(spoken, after=0) as feed:
                return [(await anext(feed)).seq for _n in range(1)]

    assert asyncio.run(script()) == [1]
