"""Live statistics in Redis, by the names of the PRD. All of it can vanish: it is made anew from the rooms in memory.

| key | type | holds | lives |
|---|---|---|---|
| `room:{id}:stats` | hash | floorPrice, topBid (empty: none), activeAgents, activeBuyers, activeSellers | 5 s |
| `room:{id}:floor` | sorted set | `agent:{id}` by ask in the base grade; the lowest is the floor | 60 s |
| `room:{id}:bids` | sorted set | `agent:{id}` by bid that an item of the base grade may take; the highest is the top bid | 60 s |
| `ratelimit:agent:{id}:messages` | counter | messages in the last minute of room time | 60 s |
| `room:{id}:progress` | sorted set | live deals by percent, written by settlement's way (actors/progress_board.py) | 300 s |
| `ws:session:{id}` | hash | userId, roomId, agentId, connectedAt | until closed |

Money is whole micro-USDC. What lives for a while is written again while the projector runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import cast

import msgspec
import redis
from redis.client import Pipeline

from agentrooms.actors.progress_board import progress_key
from agentrooms.domain.assets import ANY_GRADE
from agentrooms.domain.record import MINUTE_MS
from agentrooms.domain.terms import Role
from agentrooms.projections.room_model import RoomModel

STATS_TTL_S = 5
BOOK_TTL_S = 60
RATE_TTL_S = 60
REFRESH_S = 2.0  # shorter than any time to live
RETRY_S = 1.0  # how long it is left alone after it did not answer

_LOG = logging.getLogger(__name__)


class Shown(msgspec.Struct, frozen=True):
    """What is shown of one room: its figures, asks and bids by agent, and messages in the last minute by agent."""

    stats: dict[str, int | str]
    asks: dict[str, int]
    bids: dict[str, int]
    rates: dict[str, int]


class RedisStats:
    """Shows rooms in Redis after each commit of a projector. Never raises for Redis: what is missed is shown later."""

    def __init__(self, redis_client: redis.Redis) -> None:
        self._redis = redis_client
        self._rooms: dict[str, Shown] = {}
        self._due_s = 0.0
        self._away_until_s = 0.0
        self._missed = False  # what Redis was not told while it was away

    def rebuild_from(self, rooms: Iterable[RoomModel]) -> None:
        """Shows these rooms, and no others, from now on."""
        self._rooms = {room.chain: shown(room) for room in rooms if not room.closed}
        self._show(list(self._rooms), self._rates(), everything=True)

    def changed(self, rooms: Iterable[RoomModel]) -> None:
        """Shows what a commit has changed; a closed room is shown no longer."""
        rates: list[tuple[str, int]] = []
        chains = []
        for room in rooms:
            chains.append(room.chain)
            if room.closed:
                self._rooms.pop(room.chain, None)
                continue
            before, now = self._rooms.get(room.chain), shown(room)
            known = before.rates if before is not None else {}
            rates += [(agent, count) for agent, count in now.rates.items() if known.get(agent) != count]
            self._rooms[room.chain] = now
        self._show(chains, rates, everything=False)

    def tick(self) -> None:
        """Shows all rooms again when it is time: what lives for a while lives on, what Redis lost comes back."""
        if time.monotonic() >= self._due_s:
            self._show(list(self._rooms), self._rates() if self._missed else [], everything=True)

    def _rates(self) -> list[tuple[str, int]]:
        return [rate for room in self._rooms.values() for rate in room.rates.items()]

    def _show(self, chains: list[str], rates: list[tuple[str, int]], *, everything: bool) -> None:
        now = time.monotonic()
        if now < self._away_until_s:
            self._missed = True
            return
        if everything:
            self._due_s = now + REFRESH_S
        pipeline = self._redis.pipeline(transaction=True)
        for chain in chains:
            _write(pipeline, chain, self._rooms.get(chain))
        for agent, count in rates:
            pipeline.set(f"ratelimit:agent:{agent}:messages", count, ex=RATE_TTL_S)
        try:
            pipeline.execute()
            self._missed = self._missed and not everything
        except (redis.RedisError, OSError) as error:
            _LOG.warning("live statistics wait for Redis: %s", error)
            self._away_until_s = now + RETRY_S
            self._due_s, self._missed = 0.0, True


def shown(room: RoomModel) -> Shown:
    """Returns what Redis shows of a room as it is now."""
    state, buyers, sellers = room.room, room.present(Role.BUYER), room.present(Role.SELLER)
    quotes = state.quotes.values()
    floor, top_bid = state.floor, state.top_bid
    return Shown(
        {
            "floorPrice": "" if floor is None else floor,
            "topBid": "" if top_bid is None else top_bid,
            "activeAgents": buyers + sellers,
            "activeBuyers": buyers,
            "activeSellers": sellers,
        },
        {q.agent: q.price_usdc_micros for q in quotes if q.side is Role.SELLER and q.grade == state.base_grade},
        {
            q.agent: q.price_usdc_micros
            for q in quotes
            if q.side is Role.BUYER and q.grade in {ANY_GRADE, state.base_grade}
        },
        {
            agent.id: said
            for agent in state.agents.values()
            if agent.present
            and (
                said := sum(
                    (room.round - r) * state.round_ms < MINUTE_MS for r in state.records[agent.id].recent_rounds
                )
            )
        },
    )


def progress_of(redis_client: redis.Redis, room: str) -> dict[str, int]:
    """Returns how far a room's live deals are, in percent, by what settlement told last. Raises redis.RedisError.

    May lack any deal; `domain.progress.further` puts it beside what the log says.
    """
    told = cast("list[tuple[str, float]]", redis_client.zrange(progress_key(room), 0, -1, withscores=True))
    return {deal: int(percent) for deal, percent in told}


def _write(pipeline: Pipeline, chain: str, room: Shown | None) -> None:
    stats, floor, bids = f"room:{chain}:stats", f"room:{chain}:floor", f"room:{chain}:bids"
    pipeline.delete(stats, floor, bids)
    if room is None:
        return
    pipeline.hset(stats, items=[part for figure in room.stats.items() for part in figure])
    pipeline.expire(stats, STATS_TTL_S)
    for key, prices in ((floor, room.asks), (bids, room.bids)):
        if prices:
            pipeline.zadd(key, {f"agent:{agent}": price for agent, price in prices.items()})
            pipeline.expire(key, BOOK_TTL_S)


class Session(msgspec.Struct, frozen=True):
    """Who is connected through a WebSocket, where, and since when; empty texts for none."""

    user: str
    room: str
    agent: str
    connected_at_ms: int


def open_session(redis_client: redis.Redis, id: str, session: Session) -> None:
    """Notes a connection. Raises redis.RedisError."""
    redis_client.hset(
        f"ws:session:{id}",
        mapping={
            "userId": session.user,
            "roomId": session.room,
            "agentId": session.agent,
            "connectedAt": session.connected_at_ms,
        },
    )


def close_session(redis_client: redis.Redis, id: str) -> None:
    """Forgets a connection. Raises redis.RedisError."""
    redis_client.delete(f"ws:session:{id}")
