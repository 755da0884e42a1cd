"""The projector: the tables are a fold of the log, however it is cut, whoever else projects, whatever dies."""

from __future__ import annotations

import secrets
import threading
from contextlib import closing

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from agentrooms.domain.ledger import WalletFueled
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.postgres import channel, connect, migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import Condition, StoredEvent, StoreError
from agentrooms.projections import queries
from agentrooms.projections.catching_up import NotCaughtUp, wait_for
from agentrooms.projections.projector import ProjectionAhead, ProjectionStopped, Projector
from agentrooms.projections.writing import place
from tests.cutting import end_connections
from tests.domain import samples
from tests.live_archive.system import A, B, System
from tests.projections.logs import assert_tables_are_those_of_the_log, drop, extend, log_of, mixed, select, stored

ACTS = st.sampled_from(["append", "first", "second", "restart"])


@settings(max_examples=6)
@given(
    seed=st.integers(0, 2**32),
    acts=st.lists(st.tuples(ACTS, st.integers(1, 120)), min_size=8, max_size=60),
)
def test_tables_are_those_of_archives_however_the_log_is_cut(
    postgres_dsn: str, seed: int, acts: list[tuple[str, int]]
) -> None:
    """Appends, batches, restarts and a second projector in any order: in the end each event has had its effect once."""
    schema = f"test_{secrets.token_hex(6)}"
    events = mixed(seed)
    store = MemoryEventStore()
    first, second = (Projector(store, postgres_dsn, schema, batch_events=7 + n * 40) for n in range(2))
    for act, number in acts:
        match act:
            case "append":
                extend(store, events[store.head() :][:number])
            case "first":
                first.step()
            case "second":
                second.step()
            case "restart":
                first.close()
                first = Projector(store, postgres_dsn, schema, batch_events=number)
    extend(store, events[store.head() :])
    while first.position < store.head():
        first.step()
    assert_tables_are_those_of_the_log(postgres_dsn, schema, store)
    for projector in (first, second):
        projector.close()
    drop(postgres_dsn, schema)


def test_what_people_say_is_no_message_of_an_agent(postgres_dsn: str, fresh_schema: str) -> None:
    """A room in which people speak is as far as its log, and has the messages of its agents."""
    system = System().run()
    system.platform(WalletFueled(1, samples.wallet("b0")))
    with closing(Projector(system.store, postgres_dsn, fresh_schema)) as projector:
        while projector.position < system.store.head():
            projector.step()
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, system.store)
    lines = {room: system.lines(room) for room in (A, B)}
    assert all(sum(line.type == "person.spoke" for line in found) > 12 for found in lines.values())
    expected = [
        (room, sum(r.type == "act.posted" for r in found), max(r.seq for r in found if r.type != "acts.explained"))
        for room, found in lines.items()
    ]
    assert select(postgres_dsn, fresh_schema, "SELECT room, messages, seq FROM rooms ORDER BY room") == expected


def test_two_projectors_at_once_do_no_harm(postgres_dsn: str, fresh_schema: str) -> None:
    """Both run all the time, woken by the same notifications; the cursor never goes back."""
    events, store, stop = mixed(3), MemoryEventStore(), threading.Event()
    runners = [
        threading.Thread(
            target=Projector(store, postgres_dsn, fresh_schema, channel="news", batch_events=30).run, args=[stop]
        )
        for _ in range(2)
    ]
    for runner in runners:
        runner.start()
    seen: list[int] = []
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        while store.head() < len(events):
            extend(store, events[store.head() :][:50])
            connection.execute("NOTIFY news")
    with closing(Projector(store, postgres_dsn, fresh_schema)) as third:
        third.step()  # now the tables are there
    with queries.connect(postgres_dsn, fresh_schema) as reader:
        while (not seen or seen[-1] < len(events)) and all(runner.is_alive() for runner in runners):
            seen.append(queries.lag(reader, store.head()).position)
        wait_for(lambda: place(reader), len(events), 1)
    stop.set()
    for runner in runners:
        runner.join()
    assert seen == sorted(seen)
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, store)


def test_an_event_that_cannot_be_projected_stops_it_there_and_status_says_so(
    postgres_dsn: str, fresh_schema: str
) -> None:
    sound = list(stored("small"))
    at = next(n for n, event in enumerate(sound) if event.type == "deal.locked")
    broken = [*sound[: at - 1], *sound[at:]]  # the act before the lock is gone, and with it the room's order
    broken[at - 1] = msgspec.structs.replace(broken[at - 1], data=b'{"no":"line"}')
    projector = Projector(log_of(broken), postgres_dsn, fresh_schema)
    assert projector.step() == at - 1
    for _ in range(2):  # also when asked again
        with pytest.raises(ProjectionStopped, match=rf"event {at} of the log \(deal.locked\)") as stopped:
            projector.step()
    projector.close()
    assert "BrokenLine" in str(stopped.value)
    with connect(postgres_dsn, fresh_schema) as connection:
        lag = queries.lag(connection, len(broken))
        assert (lag.position, lag.failed_position, lag.events) == (at - 1, at, len(broken) - at + 1)
        assert "BrokenLine" in (lag.failure or "")
        with pytest.raises(NotCaughtUp):
            wait_for(lambda: place(connection), at, 60)  # does not wait for what will not come
    mended = Projector(log_of(sound), postgres_dsn, fresh_schema)
    assert mended.step() == len(sound) - at + 1
    mended.close()
    assert select(postgres_dsn, fresh_schema, "SELECT failed_position, failure FROM cursor") == [(None, None)]
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(sound))


def test_an_event_that_does_not_follow_from_those_before_is_named(postgres_dsn: str, fresh_schema: str) -> None:
    events = [event for event in stored("small") if event.type != "agent.spawned"]
    at = next(n for n, event in enumerate(events, start=1) if event.type == "act.posted")
    projector = Projector(log_of(events), postgres_dsn, fresh_schema)
    projector.step()
    with pytest.raises(ProjectionStopped, match=f"stands at {at - 1}: event {at} "):
        projector.step()
    projector.close()


def test_the_tables_of_another_log_are_not_written_to(postgres_dsn: str, fresh_schema: str) -> None:
    projector = Projector(log_of(stored("small")), postgres_dsn, fresh_schema)
    projector.step()
    projector.close()
    other = Projector(log_of(stored("balanced")[:5]), postgres_dsn, fresh_schema)
    with pytest.raises(ProjectionAhead, match="the log ends at 5"):
        other.step()
    other.close()


def test_why_an_act_was_decided_is_not_even_read(postgres_dsn: str, fresh_schema: str) -> None:
    """Private events could hold anything: the tables are the same."""
    events = stored("balanced")
    hidden = [StoredEvent(e.type, b"?", e.tags) if e.type == "acts.explained" else e for e in events]
    assert hidden != list(events)
    projector = Projector(log_of(hidden), postgres_dsn, fresh_schema)
    assert projector.step() == len(events)
    projector.close()
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(events))


def test_a_room_that_is_not_among_the_open_ones_is_read_from_its_past(postgres_dsn: str, fresh_schema: str) -> None:
    """Whatever made the tables forget it: an event is folded into the room it belongs to."""
    events = stored("balanced")
    with closing(Projector(log_of(events[:150]), postgres_dsn, fresh_schema)) as first:
        first.step()
    with connect(postgres_dsn, fresh_schema) as connection:
        connection.execute("UPDATE rooms SET status = 'inactive'")
    with closing(Projector(log_of(events), postgres_dsn, fresh_schema, batch_events=9)) as second:
        while second.step():
            pass
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(events))


class Flaky(MemoryEventStore):
    """A log that does not answer every other time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def head(self) -> int:
        self.asked += 1
        if self.asked % 2:
            raise StoreError("the log is away")
        return super().head()


def test_it_waits_for_a_log_and_a_database_that_are_away(
    postgres_dsn: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentrooms.projections.projector.RETRY_S", 0.01)
    monkeypatch.setattr("agentrooms.projections.projector.POLL_S", 0.01)
    store, stop, events = Flaky(), threading.Event(), stored("balanced")
    projector = Projector(store, postgres_dsn, fresh_schema, batch_events=10)
    runner = threading.Thread(target=projector.run, args=[stop])
    runner.start()
    cut = 0
    for start in range(0, len(events), 40):
        before = projector.position
        MemoryEventStore.append(store, events[start : start + 40], Condition((), start))
        while projector.position == before and runner.is_alive():
            runner.join(0.01)
        cut += end_connections(postgres_dsn, fresh_schema)
    while projector.position < len(events) and runner.is_alive():
        runner.join(0.01)
    stop.set()
    runner.join()
    assert cut
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(events))


def test_the_log_in_postgres_wakes_it(postgres_dsn: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With polling put off for a minute, only the log's notification can be what makes it go on."""
    monkeypatch.setattr("agentrooms.projections.projector.POLL_S", 60)
    log, stop, events = f"{fresh_schema}_log", threading.Event(), stored("balanced")
    migrate_log(postgres_dsn, log)
    with (
        closing(LogWriter(postgres_dsn, log)) as writer,
        closing(PostgresLog(postgres_dsn, log)) as reading,
        queries.connect(postgres_dsn, log) as waker,
    ):
        projector = Projector(reading, postgres_dsn, fresh_schema, channel=channel(log))
        runner = threading.Thread(target=projector.run, args=[stop])
        runner.start()
        for start in range(0, len(events), 60):
            writer.append(events[start : start + 60], Condition((), start))
            while projector.position < writer.head() and runner.is_alive():
                runner.join(0.01)
        stop.set()
        waker.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(channel(log))))
        runner.join()
    assert projector.position == len(events)
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(events))
    drop(postgres_dsn, log)
