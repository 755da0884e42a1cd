"""Clean-up touches read models and accounts alone: archives of the log verify, and the tables come back from the log."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import psycopg
import pytest
from nacl.signing import SigningKey

from agentrooms.accounts.contacts import Contacts
from agentrooms.accounts.schema import DAY_MS
from agentrooms.accounts.sessions import Sessions
from agentrooms.domain.keys import public_hex
from agentrooms.events.postgres import Connections, connect
from agentrooms.jobs.analytics import Analytics, History
from agentrooms.jobs.catalogue import AGENT_PERFORMANCE, OLD_DEALS, ROOM_STATS
from agentrooms.jobs.cleanup import OLD_DAYS, UNCONFIRMED_DAYS, Cleanup, NotArchived, archived_rooms
from agentrooms.jobs.queue import JobQueue, NewJob
from agentrooms.jobs.work import Interrupted, Work
from agentrooms.projections import queries
from agentrooms.projections.check import check
from agentrooms.projections.projector import Projector
from agentrooms.projections.rebuild import rebuild
from agentrooms.sim.audit import audit
from tests.audit.archives import failing
from tests.jobs.clock import Clock
from tests.live_archive.system import A, B, System

KEY = SigningKey(bytes(range(32)))


@pytest.fixture
def read(system: System, postgres_dsn: str, fresh_schema: str) -> str:
    """A read schema that holds the whole log."""
    projector = Projector(system.store, postgres_dsn, fresh_schema)
    while projector.step():
        pass
    projector.close()
    return fresh_schema


@pytest.fixture
def clock(system: System) -> Clock:
    """When room A has been closed for long enough."""
    return Clock(system.lines(A)[-1].at_ms + OLD_DAYS * DAY_MS + 1)


@pytest.fixture
def cleanup(
    system: System, postgres_dsn: str, read: str, accounts: Connections, tmp_path: Path, clock: Clock
) -> Cleanup:
    return Cleanup(
        system.store, postgres_dsn, read=read, accounts=accounts.schema, data=tmp_path, key=KEY, clock_ms=clock
    )


def night(queue: JobQueue, kind: str = OLD_DEALS, due_at_ms: int = 0) -> Work:
    queue.put(NewJob(f"{kind}:{due_at_ms}", kind, {"due_at_ms": due_at_ms}))
    job = queue.take(["cleanup", "analytics"])
    assert job is not None
    return Work(job, queue, threading.Event())


class Late(Work):
    """An attempt whose time has run out just now."""

    @property
    def over(self) -> bool:
        return True


def said(dsn: str, read: str, room: str) -> int:
    with connect(dsn, read) as connection:
        return len(queries.messages(connection, room, limit=500))


def test_a_room_leaves_the_tables_only_when_its_archive_stands_and_verifies(
    cleanup: Cleanup, queue: JobQueue, system: System, postgres_dsn: str, read: str, tmp_path: Path
) -> None:
    log = system.store.read()
    work = night(queue)
    before = {room: said(postgres_dsn, read, room) for room in (A, B)}
    assert cleanup.messages(work) == {"rows": 0}, "it has no archive yet"
    assert cleanup.archive(work) == {"rooms": 1}
    assert cleanup.archive(work) == {"rooms": 0}
    report = audit(tmp_path / "archived" / A, key=public_hex(KEY))
    assert failing(report) == {}
    assert cleanup.messages(work)["rows"] >= before[A] > 0
    assert (said(postgres_dsn, read, A), said(postgres_dsn, read, B)) == (0, before[B])
    assert cleanup.messages(work) == {"rows": 0}
    assert system.store.read() == log
    assert archived_rooms(tmp_path) == [A]
    assert check(system.store, postgres_dsn, read, archived=[A]) == []
    assert {one.table for one in check(system.store, postgres_dsn, read)} == {"messages", "floor_path"}
    with connect(postgres_dsn, read) as connection:
        assert queries.statistics(connection, A).messages == before[A], "what is counted stays"
    rebuild(system.store, postgres_dsn, read)
    assert said(postgres_dsn, read, A) == before[A]
    assert cleanup.messages(work)["rows"] >= before[A]


def test_a_room_that_closed_lately_and_one_that_is_open_stay(
    cleanup: Cleanup, queue: JobQueue, clock: Clock, postgres_dsn: str, read: str, tmp_path: Path
) -> None:
    clock.ms -= 1
    work = night(queue)
    assert (cleanup.archive(work), cleanup.messages(work)) == ({"rooms": 0}, {"rows": 0})
    assert list((tmp_path / "archived").iterdir()) == []
    clock.ms += 1_000 * DAY_MS
    assert cleanup.archive(work) == {"rooms": 1}
    assert [folder.name for folder in (tmp_path / "archived").iterdir()] == [A]


def test_a_room_that_cannot_be_archived_is_told(
    cleanup: Cleanup, queue: JobQueue, clock: Clock, tmp_path: Path
) -> None:
    clock.ms += 1_000 * DAY_MS
    in_the_way = tmp_path / "archived" / A
    in_the_way.mkdir(parents=True)
    (in_the_way / "note").write_text("somebody's")
    work = night(queue)
    rooms = list(cleanup._old_rooms(work))
    with pytest.raises(NotArchived, match=f"{A}: "):
        cleanup.archive(work)
    assert archived_rooms(tmp_path) == sorted(set(rooms) - {A})


def test_what_a_killed_one_left_is_cleared_away_and_one_that_ends_stops(
    cleanup: Cleanup, queue: JobQueue, tmp_path: Path
) -> None:
    half = tmp_path / "archived" / ".agentrooms-half"
    half.mkdir(parents=True)
    work = night(queue)
    work.stop.set()
    with pytest.raises(Interrupted):
        cleanup.archive(work)
    assert not half.exists()
    assert not cleanup.has_archive(A)
    late = Late(work.job, queue, threading.Event())
    assert cleanup.archive(late) == {"rooms": 0}, "its time is over; the next night goes on"


def test_what_is_over_leaves_the_accounts(
    cleanup: Cleanup, queue: JobQueue, accounts: Connections, clock: Clock
) -> None:
    sessions, contacts = Sessions(accounts, 1_000, clock), Contacts(accounts, clock)
    wallet = "0x" + "a" * 40
    sessions.start(wallet)
    contacts.set_email("user_a", "ann@example.org")
    contacts.set_email("user_b", "bob@example.org")
    code = contacts.new_code("user_b")
    assert code is not None
    contacts.confirm("user_b", code[1])
    work = night(queue)
    assert cleanup.records(work) == {"rows": 0}
    clock.pass_s(UNCONFIRMED_DAYS * 86_400)
    assert cleanup.records(work) == {"rows": 2}
    assert contacts.email("user_a") is None
    assert contacts.email("user_b") is not None


# --- Analytics ------------------------------------------------------------------------------------------


def test_figures_are_kept_as_they_change(
    queue: JobQueue, system: System, postgres_dsn: str, jobs_schema: str, read: str
) -> None:
    analytics = Analytics(postgres_dsn, read, jobs_schema)
    connections = Connections(postgres_dsn, jobs_schema)
    history = History(connections)
    now = system.lines(B)[-1].at_ms
    rooms, agents = night(queue, ROOM_STATS, now), night(queue, AGENT_PERFORMANCE, now)
    assert analytics.room_stats(rooms) == {"points": 2}
    kept = analytics.agent_performance(agents)["points"]
    with connect(postgres_dsn, read) as connection:
        room, performance = queries.room(connection, B), queries.agents(connection, room=B)
        one = queries.performance(connection, performance[0].agent)
    assert kept == 2 * len(performance)
    (point,) = history.room(B)
    assert msgspec.to_builtins(point) == {
        "at_ms": now,
        "active_agents": room.active_agents,
        **{
            name: getattr(room, name)
            for name in (
                *("floor_usdc_micros", "top_bid_usdc_micros", "messages", "deals_completed", "deals_failed"),
                "volume_usdc_micros",
            )
        },
    }
    (performed,) = history.agent(one.agent)
    assert (performed.messages, performed.savings_usdc_micros) == (one.messages, one.savings_usdc_micros)
    later = night(queue, ROOM_STATS, now + 300_000)
    assert analytics.room_stats(rooms) == analytics.room_stats(later) == {"points": 0}, "nothing has changed"
    with psycopg.connect(postgres_dsn, options=f"-c search_path={read}") as connection:
        connection.execute("UPDATE rooms SET messages = messages + 1 WHERE room = %s", [B])
    assert analytics.room_stats(later) == {"points": 1}
    assert [p.at_ms for p in history.room(B)] == [now, now + 300_000]
    assert [p.at_ms for p in history.room(B, after_ms=now)] == [now + 300_000]
    analytics.room_stats(night(queue, ROOM_STATS, now + 40 * DAY_MS))
    assert history.room(B) == [], "a month is kept"
    connections.close()
