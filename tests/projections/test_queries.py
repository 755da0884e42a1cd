"""Queries: what command line and API read, against the rows and figures that archives give for the same log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, TypeVar

import psycopg
import pytest

from agentrooms.domain.deal import DealCertified, DealState
from agentrooms.domain.room import RoomStatus
from agentrooms.domain.swarm import SwarmCompleted
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import PLATFORM, Recorded
from agentrooms.projections import agents, deals, floor_path, messages, queries
from agentrooms.projections.agents import AgentRow
from agentrooms.projections.catching_up import NotCaughtUp, wait_for
from agentrooms.projections.deals import DealRow
from agentrooms.projections.messages import MessageRow
from agentrooms.projections.projector import Projector
from agentrooms.projections.read_views import PricePoint
from agentrooms.projections.writing import place
from tests.projections.logs import drop, extend, log_of, mixed, recorded

T = TypeVar("T")
SCHEMA = "test_queries"


@cache
def log() -> MemoryEventStore:
    """The log that all is asked about."""
    return log_of(mixed(21))


@cache
def events() -> list[Recorded]:
    """Its events."""
    return recorded(log())


@cache
def dealt() -> list[DealRow]:
    """Its deals."""
    return deals.rows(events())


@cache
def traders() -> list[AgentRow]:
    """Its agents."""
    return agents.rows(events())


@cache
def chains() -> list[str]:
    """Its rooms."""
    return sorted({event.chain for event in events()} - {PLATFORM})


@pytest.fixture(scope="module")
def reader(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the tables of the log."""
    with closing(Projector(log(), postgres_dsn, SCHEMA)) as projector:
        projector.step()
    with queries.connect(postgres_dsn, SCHEMA) as connection:
        yield connection
    drop(postgres_dsn, SCHEMA)


def pages(fetch: Callable[[Any], Sequence[T]], first: Any, key: Callable[[T], Any]) -> list[T]:
    """All rows, page by page."""
    found: list[T] = []
    while page := fetch(key(found[-1]) if found else first):
        found += page
    return found


def said_in(reader: psycopg.Connection, room: str) -> list[MessageRow]:
    """All messages of a room."""
    return pages(lambda seq: queries.messages(reader, room, after_seq=seq, limit=30), 0, lambda m: m.seq)


def prices_of(reader: psycopg.Connection, room: str) -> list[PricePoint]:
    """A room's whole price history."""
    return pages(lambda seq: queries.price_history(reader, room, after_seq=seq), 0, lambda p: p.seq)


def mean(values: Sequence[int]) -> int | None:
    """The mean, cut towards zero."""
    return int(sum(values) / len(values)) if values else None


def completed(rows: Sequence[DealRow]) -> list[DealRow]:
    """The deals that completed."""
    return [row for row in rows if row.state is DealState.COMPLETED]


def over_floor(row: DealRow) -> int:
    """What the price was above the floor; 0 without one."""
    return row.price_over_floor_usdc_micros or 0


def test_pages_hold_every_row_once(reader: psycopg.Connection) -> None:
    found = pages(lambda after: queries.agents(reader, after=after, limit=7), "", lambda a: a.agent)
    assert [a.agent for a in found] == sorted(a.agent for a in traders())
    rooms = pages(lambda after: queries.rooms(reader, after=after, limit=1), "", lambda r: r.room)
    assert [r.room for r in rooms] == chains()
    newest = pages(lambda after: queries.deals(reader, after=after, limit=2), None, lambda d: d.locked_event)
    assert [d.deal for d in newest] == [d.deal for d in reversed(dealt())]
    swarms = pages(lambda after: queries.swarms(reader, after=after, limit=1), "", lambda s: s.swarm)
    assert len(swarms) == len(chains())
    items = pages(lambda after: queries.nfts(reader, after=after, limit=5), "", lambda n: n.nft_id)
    assert len(items) == sum(event.type == "ledger.minted" for event in events())
    wallets = pages(lambda after: queries.users(reader, after=after, limit=20), "", lambda u: u.user_id)
    assert {u.wallet for u in wallets} == {a.owner for a in traders()}
    for room in chains():
        assert said_in(reader, room) == [row for row in messages.rows(events()) if row.room == room]


def test_filters_choose_rows(reader: psycopg.Connection) -> None:
    room = chains()[0]
    assert {a.agent for a in queries.agents(reader, room=room)} == {a.agent for a in traders() if a.room == room}
    (swarm,) = queries.swarms(reader, room=room)
    assert queries.agents(reader, swarm=swarm.swarm) == queries.agents(reader, room=room)
    failed = queries.deals(reader, status="failed")
    assert [d.deal for d in failed] == [d.deal for d in reversed(dealt()) if d.state is DealState.FAILED] != []
    one = queries.deals(reader)[0]
    assert one in queries.deals(reader, user=one.buyer_user_id)
    assert one in queries.deals(reader, user=one.seller_user_id)
    assert queries.rooms(reader, status=RoomStatus.ACTIVE) == []
    assert len(queries.rooms(reader, collection=one.collection, status=RoomStatus.INACTIVE)) == len(chains())


def test_items_belong_to_who_bought_them(reader: psycopg.Connection) -> None:
    for row in completed(dealt()):
        (deal,) = (d for d in queries.deals(reader) if d.deal == row.deal)
        owned = {n.nft_id for n in queries.nfts(reader, owner=deal.buyer_wallet)}
        later = [d for d in completed(dealt()) if d.token_id == row.token_id and d.locked_event > row.locked_event]
        assert deal.nft_id in owned or later


def test_single_things_are_found_and_others_are_not(reader: psycopg.Connection) -> None:
    agent = traders()[0].agent
    assert queries.agent(reader, agent).name == traders()[0].name
    assert queries.room(reader, chains()[0]).room == chains()[0]
    user = queries.agent(reader, agent).user_id
    assert queries.user(reader, user).wallet == traders()[0].owner
    swarm = queries.swarms(reader)[0]
    assert queries.swarm(reader, swarm.swarm) == swarm
    asks = (queries.agent, queries.room, queries.user, queries.swarm, queries.deal)
    for ask in (*asks, queries.statistics, queries.swarm_analytics, queries.performance):
        with pytest.raises(queries.NotFound):
            ask(reader, "nothing")
    for limit in (0, queries.PAGE_MAX + 1):
        with pytest.raises(InvalidInput):
            queries.rooms(reader, limit=limit)


def test_a_deal_comes_with_the_votes_of_its_certificate(reader: psycopg.Connection) -> None:
    certified = [event.event for event in events() if isinstance(event.event, DealCertified)]
    assert certified
    for event in certified:
        evidence = queries.deal(reader, event.deal)
        assert [(v.verifier, v.decision, v.signature, v.annex_signature) for v in evidence.votes] == [
            (v.verifier, v.decision, v.signature, v.annex.signature)
            for v in sorted(event.votes, key=lambda v: v.verifier)
        ]
        (row,) = (row for row in dealt() if row.deal == event.deal)
        assert (evidence.deal.tx_hash, evidence.deal.block) == (row.tx_hash, row.block)


def test_price_history_is_the_floor_path_with_the_deals_in_it(reader: psycopg.Connection) -> None:
    path = floor_path.rows(events())
    for room in chains():
        points = prices_of(reader, room)
        moves = [(p.seq, p.floor_usdc_micros, p.top_bid_usdc_micros) for p in points if p.deal is None]
        assert moves == [(r.seq, r.floor_usdc_micros, r.top_bid_usdc_micros) for r in path if r.room == room]
        sold = [(p.seq, p.deal, p.price_usdc_micros) for p in points if p.deal is not None]
        assert sold == [(d.locked_seq, d.deal, d.price_usdc_micros) for d in dealt() if d.room == room]
        assert [p.seq for p in points] == sorted(p.seq for p in points)
        floors = [r.floor_usdc_micros for r in path if r.room == room and r.floor_usdc_micros is not None]
        assert queries.recent_floors(reader, room, 3) == floors[-3:]


def test_statistics_of_a_room(reader: psycopg.Connection) -> None:
    for room in chains():
        mine = [d for d in dealt() if d.room == room]
        done = completed(mine)
        found = queries.statistics(reader, room)
        ended = len(done) + sum(d.state is DealState.FAILED for d in mine)
        prices = [d.price_usdc_micros for d in done]
        assert (found.deals, found.deals_completed) == (len(mine), len(done))
        assert found.success_permille == (len(done) * 1000 // ended if ended else None)
        assert (found.volume_usdc_micros, found.avg_price_usdc_micros) == (sum(prices), mean(prices))
        assert found.max_price_usdc_micros == max(prices, default=None)
        assert found.avg_time_to_deal_ms == mean([d.rounds_to_lock * 1000 for d in done])
        assert found.messages == sum(a.messages for a in traders() if a.room == room)
        assert found.active_agents == 0


def test_analytics_of_a_swarm(reader: psycopg.Connection) -> None:
    ends = [e.event for e in events() if isinstance(e.event, SwarmCompleted)]
    for end in ends:
        found = queries.swarm_analytics(reader, end.swarm)
        done = completed([d for d in dealt() if d.room == found.room])
        assert found.deals_completed == end.deals_completed == len(done)
        assert found.joined == found.total_agents == len([a for a in traders() if a.room == found.room])
        assert found.earnings_usdc_micros == -found.savings_usdc_micros == sum(map(over_floor, done))


def test_performance_of_agents_and_users(reader: psycopg.Connection) -> None:
    by_agent = {name: d for d in completed(dealt()) for name in (d.buyer, d.seller)}
    total = 0
    for row in traders():
        found, deal = queries.performance(reader, row.agent), by_agent.get(row.agent)
        assert found.deals_completed == (deal is not None)
        if deal is None:
            assert (found.best_deal_permille, found.avg_negotiation_ms) == (None, None)
            continue
        gain = over_floor(deal) * (1 if row.role is Role.SELLER else -1)
        total += gain if row.role is Role.SELLER else 0
        assert (found.earnings_usdc_micros if row.role is Role.SELLER else found.savings_usdc_micros) == gain
        if deal.floor_usdc_micros is not None:
            assert found.best_deal_permille == int(gain * 1000 / deal.floor_usdc_micros)
        assert found.avg_negotiation_ms == (deal.locked_round - row.joined_round) * 1000
        mine = queries.user_performance(reader, queries.agent(reader, row.agent).user_id)
        assert (mine.agents, mine.agents_with_deal, mine.messages) == (1, 1, row.messages)
    overall = queries.overall(reader)
    assert (overall.agents, overall.agents_with_deal) == (len(traders()), len(by_agent))
    assert (overall.earnings_usdc_micros, overall.savings_usdc_micros) == (total, -total)


def test_what_belongs_to_a_user_or_a_swarm(reader: psycopg.Connection) -> None:
    for row in traders():
        user = queries.agent(reader, row.agent).user_id
        mine = [d for d in dealt() if row.agent in {d.buyer, d.seller}]
        done = completed(mine)
        newest = [d.deal for d in reversed(mine)]
        assert [d.deal for d in queries.deals(reader, user=user)] == newest
        assert [d.deal for d in queries.deals(reader, user=user, offset=1)] == newest[1:]
        assert queries.count_deals(reader, user) == len(mine)
        assert queries.count_deals(reader, user, "completed") == len(done)
        assert queries.live_deals(reader, user) == []
        assert [a.agent for a in queries.agents_gone(reader, user)] == [row.agent]
        found = queries.turnover(reader, user)
        bought = [d for d in done if d.buyer == row.agent]
        sold = [d for d in done if d.seller == row.agent]
        assert (found.bought, found.sold) == (len(bought), len(sold))
        assert found.paid_usdc_micros == sum(d.price_usdc_micros for d in bought)
        assert found.got_usdc_micros == sum(d.price_usdc_micros for d in sold)
    for swarm in queries.swarms(reader):
        ours = [d.deal for d in reversed(dealt()) if d.room == swarm.room]
        assert [d.deal for d in queries.deals(reader, swarm=swarm.swarm)] == ours
        said: list[MessageRow] = []
        while page := queries.swarm_messages(reader, swarm.swarm, after=said[-1].event if said else 0, limit=30):
            said += page
        assert said == said_in(reader, swarm.room)
        assert [s.swarm for s in queries.swarms(reader, user=swarm.user_id, room=swarm.room)] == [swarm.swarm]
    assert queries.parties(reader, []) == {}
    found_deals = queries.deals(reader)
    assert queries.parties(reader, found_deals).keys() == {a for d in found_deals for a in (d.buyer, d.seller)}
    assert queries.agents(reader, present=True) == []
    assert len(queries.agents(reader, present=False, limit=500)) == len(traders())


def test_a_deal_that_has_not_ended_is_live_for_both_its_users(postgres_dsn: str, fresh_schema: str) -> None:
    lock = next(n for n, event in enumerate(events(), start=1) if event.type == "deal.locked")
    store = MemoryEventStore()
    extend(store, [found.event for found in log().read(limit=lock)])
    with closing(Projector(store, postgres_dsn, fresh_schema)) as projector:
        projector.step()
    with queries.connect(postgres_dsn, fresh_schema) as connection:
        (deal,) = queries.deals(connection)
        for user in (deal.buyer_user_id, deal.seller_user_id):
            assert queries.live_deals(connection, user) == [deal]
        assert queries.turnover(connection, deal.buyer_user_id).bought == 0


def test_reading_what_one_has_written_waits_for_it(postgres_dsn: str, fresh_schema: str) -> None:
    store = MemoryEventStore()
    extend(store, [found.event for found in log().read(limit=200)])
    with closing(Projector(store, postgres_dsn, fresh_schema)) as projector:
        projector.step()
        with queries.connect(postgres_dsn, fresh_schema) as connection:
            with pytest.raises(NotCaughtUp, match="at 200, not yet at 201"):
                wait_for(lambda: place(connection), 201, 0)
            extend(store, [log().read(after=200, limit=1)[0].event])
            step = threading.Thread(target=projector.step)
            step.start()
            wait_for(lambda: place(connection), 201, 60)
            step.join()
            lag = queries.lag(connection, 205)
            assert (lag.position, lag.events, lag.failure) == (201, 4, None)


def test_the_log_has_what_these_tests_are_about() -> None:
    """Sales, failures and several rooms."""
    kinds: list[Recorded] = [event for event in events() if event.type in {"deal.completed", "deal.failed"}]
    assert {event.type for event in kinds} == {"deal.completed", "deal.failed"}
    assert len(chains()) == 4
