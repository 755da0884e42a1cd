"""News from the log: each party hears of each end once, whoever dies or runs twice in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest
from psycopg import sql

from agentrooms.domain.agent import AgentLeft, AgentSpawned
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, FailReason
from agentrooms.domain.event import Event
from agentrooms.domain.terms import LeaveReason
from agentrooms.domain.user import user_id
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import decode_line
from agentrooms.jobs import triggers as triggers_module
from agentrooms.jobs.catalogue import NOTIFY
from agentrooms.jobs.queue import PAYLOAD_BYTES_MAX, JobQueue
from agentrooms.jobs.triggers import Triggers
from agentrooms.services import failpoints
from agentrooms.services.failpoints import ERROR, FailpointReached
from tests.domain import samples
from tests.live_archive.system import System


@pytest.fixture
def from_start(queue: JobQueue, postgres_dsn: str, jobs_schema: str) -> None:
    """The cursor stands before the log."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(sql.SQL("INSERT INTO {} VALUES (true, 0)").format(sql.Identifier(jobs_schema, "log_cursor")))


@pytest.fixture
def triggers(system: System, from_start: None, postgres_dsn: str, jobs_schema: str) -> Iterator[Triggers]:
    triggers = Triggers(system.store, postgres_dsn, jobs_schema)
    yield triggers
    triggers.close()


def expected(system: System) -> Counter[tuple[str, str, str]]:
    """Kind, deal or agent, and user of all news of the log, told by the rooms' tables alone."""
    found: Counter[tuple[str, str, str]] = Counter()
    terms, owners = {}, {}
    for one in system.store.read():
        event = decode_line(one.event.data).event
        match event:
            case AgentSpawned():
                owners[event.agent] = event.owner
            case DealLocked():
                terms[event.terms.deal] = event.terms
            case DealCompleted() | DealFailed():
                kind = "deal_completed" if isinstance(event, DealCompleted) else "deal_failed"
                for wallet in {terms[event.deal].buyer_wallet, terms[event.deal].seller_wallet}:
                    found[kind, event.deal, user_id(wallet)] += 1
            case AgentLeft() if event.reason not in {"sold_nft", "bought_nft", "user_removed"}:
                found["agent_left", event.agent, user_id(owners[event.agent])] += 1
    return found


def told(queue: JobQueue) -> Counter[tuple[str, str, str]]:
    jobs = queue.jobs(limit=500)
    assert {job.kind for job in jobs} <= {NOTIFY}
    assert all(job.user == job.payload["user"] for job in jobs)
    return Counter((j.payload["kind"], j.payload["deal"] or j.payload["agent"], j.payload["user"]) for j in jobs)


def test_both_parties_hear_of_each_end_and_owners_of_agents_that_left(
    triggers: Triggers, queue: JobQueue, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers_module, "BATCH_EVENTS", 3)
    while triggers.step():
        pass
    assert triggers.position == system.store.head()
    assert told(queue) == expected(system)
    assert {kind for kind, _about, _user in expected(system)} == {"deal_completed", "deal_failed", "agent_left"}
    completed = [job.payload for job in queue.jobs(limit=500) if job.payload["kind"] == "deal_completed"]
    assert {payload["facts"]["role"] for payload in completed} == {"buyer", "seller"}
    assert all(payload["facts"]["priceMicros"].isdecimal() and payload["room"] for payload in completed)


@pytest.mark.parametrize("place", ["triggers.before_commit", "triggers.after_commit"])
def test_whoever_dies_in_between_loses_and_doubles_nothing(
    place: str, triggers: Triggers, queue: JobQueue, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers_module, "BATCH_EVENTS", 4)
    deaths = 0
    for count in (1, 3, 2):
        failpoints.arm(place, ERROR, count)
        while True:
            try:
                if not triggers.step():
                    break
            except FailpointReached:
                deaths += 1
                break
    while triggers.step():
        pass
    assert deaths == 3
    assert told(queue) == expected(system)


def test_two_at_once_make_each_job_once(
    triggers: Triggers,
    queue: JobQueue,
    system: System,
    postgres_dsn: str,
    jobs_schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triggers_module, "BATCH_EVENTS", 2)
    other = Triggers(system.store, postgres_dsn, jobs_schema)

    def follow(one: Triggers) -> None:
        while one.step():
            pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(follow, (triggers, other)))
    other.close()
    assert told(queue) == expected(system)


def test_what_happened_before_anybody_followed_is_no_news(
    queue: JobQueue, system: System, postgres_dsn: str, jobs_schema: str
) -> None:
    late = Triggers(system.store, postgres_dsn, jobs_schema)
    assert not late.step()
    assert late.position == system.store.head()
    late.close()
    assert queue.jobs() == []


def test_a_cursor_beyond_the_log_begins_at_its_end(
    triggers: Triggers, system: System, postgres_dsn: str, jobs_schema: str
) -> None:
    """The log is another one, such as from a backup."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            sql.SQL("UPDATE {} SET position = 1000000").format(sql.Identifier(jobs_schema, "log_cursor"))
        )
    assert not triggers.step()
    assert triggers.position == system.store.head()


def test_agents_of_a_swarm_bring_no_news(
    queue: JobQueue, from_start: None, postgres_dsn: str, jobs_schema: str
) -> None:
    """Their wallets are mock ones: nobody is there to be told."""
    store = MemoryEventStore()
    journal = Journal(store, samples.ROOM)
    spawned = samples.spawned("agent_s", samples.SELLER)
    of_swarm = msgspec.structs.replace(spawned, agent="agent_x", swarm="swarm_x")
    events: list[Event] = [samples.opened(samples.ROOM), spawned, of_swarm]
    events += [AgentLeft(agent, LeaveReason.TIMEOUT, 2) for agent in ("agent_s", "agent_x")]
    journal.append([Entry(event) for event in events], at_ms=1, cmd="c:1")
    triggers = Triggers(store, postgres_dsn, jobs_schema)
    while triggers.step():
        pass
    triggers.close()
    assert [job.payload["agent"] for job in queue.jobs()] == ["agent_s"]


def test_an_event_that_cannot_be_used_holds_up_no_other(
    queue: JobQueue, from_start: None, postgres_dsn: str, jobs_schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A deal that nobody has locked, and an agent whose name makes the job too large."""
    store = MemoryEventStore()
    journal = Journal(store, samples.ROOM)
    spawned = samples.spawned("agent_s", samples.SELLER)
    large = msgspec.structs.replace(spawned, agent="agent_l", name="x" * PAYLOAD_BYTES_MAX)
    events: list[Event] = [samples.opened(samples.ROOM), spawned, large]
    events += [DealFailed((), "deal_nowhere", "", FailReason.EXPIRED, 2)]
    events += [AgentLeft(agent, LeaveReason.TIMEOUT, 2) for agent in ("agent_l", "agent_s")]
    journal.append([Entry(event) for event in events], at_ms=1, cmd="c:1")
    triggers = Triggers(store, postgres_dsn, jobs_schema)
    while triggers.step():
        pass
    triggers.close()
    assert [job.payload["agent"] for job in queue.jobs()] == ["agent_s"]
    assert (triggers.skipped, triggers.position) == (2, store.head())
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 2
