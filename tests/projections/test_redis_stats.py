"""Live statistics in Redis: what the room says, gone and back, and never in the projector's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
import redis

from agentrooms.domain.folding import fold
from agentrooms.domain.record import MINUTE_MS
from agentrooms.domain.room import Room
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import PLATFORM
from agentrooms.events.store import StoredEvent
from agentrooms.projections import redis_stats
from agentrooms.projections.projector import Projector
from agentrooms.projections.redis_stats import RedisStats, Session, close_session, open_session
from agentrooms.services.redis import Redis, client
from tests.projections.logs import log_of, mixed, recorded, select, stored


def part() -> tuple[StoredEvent, ...]:
    """The first half of a run: its room is open and its book is full."""
    return stored("competition")[: len(stored("competition")) // 2]


def ranked(connection: redis.Redis, key: str, *, desc: bool = False) -> list[tuple[str, float]]:
    """A sorted set's members with their scores."""
    return cast("list[tuple[str, float]]", connection.zrange(key, 0, -1, desc=desc, withscores=True))


@pytest.fixture
def shown(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with closing(client(redis_url)) as connection:
        connection.flushall()
        yield connection


def rooms_of(store: MemoryEventStore) -> dict[str, Room]:
    """The rooms as the log leaves them."""
    events = recorded(store)
    chains = {event.chain for event in events} - {PLATFORM}
    return {chain: fold(Room(), [e.event for e in events if e.chain == chain]) for chain in sorted(chains)}


def assert_shown(connection: redis.Redis, store: MemoryEventStore) -> int:
    """Redis shows the rooms of a log; returns how many are open."""
    count = 0
    for chain, room in rooms_of(store).items():
        stats, floor, bids = f"room:{chain}:stats", f"room:{chain}:floor", f"room:{chain}:bids"
        if room.status == "inactive":
            assert connection.exists(stats, floor, bids) == 0
            continue
        count += 1
        present = [agent for agent in room.agents.values() if agent.present]
        assert connection.hgetall(stats) == {
            "floorPrice": str(room.floor or ""),
            "topBid": str(room.top_bid or ""),
            "activeAgents": str(len(present)),
            "activeBuyers": str(sum(agent.role == "buyer" for agent in present)),
            "activeSellers": str(sum(agent.role == "seller" for agent in present)),
        }
        assert 0 < connection.pttl(stats) <= 5_000
        lowest, highest = ranked(connection, floor)[:1], ranked(connection, bids, desc=True)[:1]
        assert [score for _, score in lowest] == ([] if room.floor is None else [room.floor])
        assert [score for _, score in highest] == ([] if room.top_bid is None else [room.top_bid])
        quotes = {f"agent:{q.agent}": q.price_usdc_micros for q in room.quotes.values()}
        for member, score in ranked(connection, floor):
            assert quotes[member] == score
    return count


def test_redis_shows_what_the_rooms_are_after_each_batch(
    postgres_dsn: str, fresh_schema: str, shown: redis.Redis
) -> None:
    """From rooms with a full book to rooms that have closed."""
    events, store = mixed(8), MemoryEventStore()
    projector = Projector(store, postgres_dsn, fresh_schema, stats=RedisStats(shown))
    open_rooms = []
    for start in range(0, len(events), 300):
        store = log_of(events[: start + 300])
        projector._store = store
        while projector.step():
            pass
        open_rooms.append(assert_shown(shown, store))
    projector.close()
    assert max(open_rooms) > 1
    assert open_rooms[-1] == 0


def test_message_counters_mirror_the_rate_of_the_room(postgres_dsn: str, fresh_schema: str, shown: redis.Redis) -> None:
    store = log_of(part())
    with closing(Projector(store, postgres_dsn, fresh_schema, stats=RedisStats(shown))) as projector:
        projector.step()
    (room,) = rooms_of(store).values()
    for agent in room.agents.values():
        recent = [r for r in room.records[agent.id].recent_rounds if (room.round - r) * room.round_ms < MINUTE_MS]
        key = f"ratelimit:agent:{agent.id}:messages"
        assert shown.get(key) == (str(len(recent)) if recent and agent.present else None)
        assert shown.ttl(key) <= 60


def test_a_redis_that_lost_all_is_filled_again(
    postgres_dsn: str, fresh_schema: str, shown: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next refresh; and a projector that starts shows the rooms it finds."""
    monkeypatch.setattr(redis_stats, "REFRESH_S", 0)
    store, stats = log_of(part()), RedisStats(shown)
    with closing(Projector(store, postgres_dsn, fresh_schema, stats=stats)) as projector:
        projector.step()
        shown.flushall()
        stats.tick()
        assert assert_shown(shown, store) == 1
    shown.flushall()
    with closing(Projector(store, postgres_dsn, fresh_schema, stats=RedisStats(shown))) as another:
        assert another.step() == 0
    assert assert_shown(shown, store) == 1


def test_the_projection_goes_on_without_redis_and_statistics_come_back(
    postgres_dsn: str, fresh_schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stats, "RETRY_S", 0)
    server = Redis(tmp_path)
    with closing(client(server.start())) as connection:
        stats = RedisStats(connection)
        store = MemoryEventStore()
        projector = Projector(store, postgres_dsn, fresh_schema, stats=stats, batch_events=100)
        projector._store = log_of(part()[:100])
        projector.step()
        server.stop()
        projector._store = store = log_of(part())
        while projector.step():
            stats.tick()
        assert select(postgres_dsn, fresh_schema, "SELECT position FROM cursor") == [(len(part()),)]
        server.start()
        stats.tick()
        assert assert_shown(connection, store) == 1
        assert connection.keys("ratelimit:*")
        projector.close()
    server.stop()


def test_sessions_are_noted_and_forgotten(shown: redis.Redis) -> None:
    open_session(shown, "s1", Session("user_1", "room_1", "agent_1", 1_700_000_000_000))
    assert shown.hgetall("ws:session:s1") == {
        "userId": "user_1",
        "roomId": "room_1",
        "agentId": "agent_1",
        "connectedAt": "1700000000000",
    }
    assert shown.ttl("ws:session:s1") == -1
    close_session(shown, "s1")
    assert not shown.exists("ws:session:s1")
