"""The log writer: groups with a verdict each, bounds, a fence, and what it does when the database fails it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from agentrooms.events import log_writer
from agentrooms.events.dcb import DcbEventStore, PostgresRecorder
from agentrooms.events.log_writer import LogOverloaded, LogWriter
from agentrooms.events.postgres import channel, connect, migrate_log
from agentrooms.events.postgres_fence import Fenced
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import Condition, Conflict, Positioned, QueryItem, StoredEvent, StoreError
from agentrooms.services import failpoints
from tests.cutting import end_connections

ALWAYS = Condition((QueryItem(tags=("nothing has this tag",)),), 0)


class Log:
    """A fresh log and its writers, all closed in the end."""

    def __init__(self, dsn: str, schema: str) -> None:
        self.dsn, self.schema = dsn, schema
        migrate_log(dsn, schema)
        self.writers: list[LogWriter] = []

    def writer(self, publish: Callable[[list[Positioned]], None] | None = None, **bounds: int) -> LogWriter:
        self.writers.append(LogWriter(self.dsn, self.schema, publish, **bounds))
        return self.writers[-1]

    def execute(self, statement: str) -> None:
        with connect(self.dsn, self.schema) as connection:
            connection.execute(statement.encode())

    def data(self) -> list[bytes]:
        """What another process reads."""
        with closing(PostgresLog(self.dsn, self.schema)) as log:
            return [p.event.data for p in log.read()]


@pytest.fixture
def log(postgres_dsn: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    log = Log(postgres_dsn, fresh_schema)
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "_armed", {})  # what a test arms is harmless when its writers close
        yield log
    for writer in log.writers:
        writer.close()


def event(*tags: str, data: bytes = b"") -> StoredEvent:
    return StoredEvent("a", data, tags)


def once(tag: str, after: int = 0) -> Condition:
    return Condition((QueryItem((tag,)),), after)


class Held:
    """Holds the row of the head, so that a group waits in its commit and the next one gathers."""

    def __init__(self, log: Log) -> None:
        self._connection = connect(log.dsn, log.schema)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT FROM log_head FOR UPDATE")

    def __exit__(self, *args: object) -> None:
        self._connection.close()


def wait_until_taken(writer: LogWriter) -> None:
    """Returns once the writer's thread has taken all that waited."""
    while writer.stats().waiting:
        threading.Event().wait(0.001)


# --- Groups -----------------------------------------------------------------------------------------------


def test_what_waits_is_one_group_and_each_append_has_its_own_verdict(log: Log) -> None:
    """Later ones see earlier ones of the same group; a conflict of one is none of another."""
    writer = log.writer()
    with Held(log):
        first = writer.submit([event("x", data=b"0")], ALWAYS)
        wait_until_taken(writer)
        futures = [
            writer.submit([event("c:1", data=b"1"), event("y", data=b"2")], once("c:1")),
            writer.submit([event("c:1", data=b"-")], once("c:1")),
            writer.submit([event("c:2", data=b"3")], once("c:2")),
            writer.submit([event("c:3", data=b"-")], Condition((), 1)),
            writer.submit([event("c:3", data=b"-")], once("c:3", after=9)),
        ]
        assert not first.done()
    assert [first.result(), *(future.result() for future in futures[:4])] == [
        1,
        3,
        Conflict((QueryItem(("c:1",)),), 0),
        4,
        Conflict((), 1),
    ]
    with pytest.raises(StoreError, match="position 9 is not in this log of 4 events"):
        futures[4].result()
    stats = writer.stats()
    assert (stats.groups, stats.appends, stats.conflicts, stats.head) == (2, 3, 2, 4)
    assert log.data() == [b"0", b"1", b"2", b"3"]


def test_a_condition_older_than_the_index_is_looked_up(log: Log) -> None:
    """A new writer remembers nothing and still refuses what is in the log."""
    log.writer().append([event("c:1"), event("c:2")], ALWAYS)
    log.writers[0].close()
    writer = log.writer(tagged_events_max=2)
    for n in range(3, 13):
        assert writer.append([event(f"c:{n}")], once(f"c:{n}")) == n
    assert [isinstance(writer.append([event("again")], once(f"c:{n}")), Conflict) for n in range(1, 13)] == [True] * 12
    assert writer.append([event("c:13")], once("c:3", after=3)) == 13


def test_many_threads_append_and_nothing_is_lost_or_doubled(log: Log) -> None:
    """Each thread extends a chain of its own and races for shared commands."""
    writer = log.writer(tagged_events_max=64)
    won: list[list[str]] = [[] for _ in range(8)]

    def run(thread: int) -> None:
        for n in range(40):
            outcome = writer.append([event(f"chain:{thread}", f"c:{n}", data=b"%d" % n)], once(f"c:{n}"))
            if not isinstance(outcome, Conflict):
                won[thread].append(f"c:{n}")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(c for commands in won for c in commands) == sorted(f"c:{n}" for n in range(40))
    assert [p.position for p in writer.read()] == list(range(1, 41))


def test_too_much_waiting_is_refused_and_nothing_of_it_is_done(log: Log) -> None:
    writer = log.writer(queue_max=3)
    with Held(log):
        futures = [writer.submit([event(data=b"0")], ALWAYS)]
        wait_until_taken(writer)
        futures += [writer.submit([event(data=b"%d" % n)], ALWAYS) for n in range(1, 4)]
        with pytest.raises(LogOverloaded) as caught:
            writer.submit([event(data=b"-")], ALWAYS)
        assert caught.value.hint
    assert [future.result() for future in futures] == [1, 2, 3, 4]
    assert log.data() == [b"0", b"1", b"2", b"3"]


def test_a_group_has_bounds(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """In appends and in bytes; one append larger than both is a group of its own."""
    monkeypatch.setattr(log_writer, "APPENDS_MAX", 3)
    monkeypatch.setattr(log_writer, "BYTES_MAX", 100)
    writer = log.writer()
    with Held(log):
        futures = [writer.submit([event()], ALWAYS)]
        wait_until_taken(writer)
        sizes = [1, 1, 1, 1, 60, 60, 500, 1]
        futures += [writer.submit([event(data=bytes(size))], ALWAYS) for size in sizes]
    assert [future.result() for future in futures] == list(range(1, 10))
    assert writer.stats().groups == 1 + 5  # 1 1 1, 1 60, 60, 500, 1


def test_closing_writes_what_waits_and_refuses_more(log: Log) -> None:
    writer = log.writer()
    with Held(log):
        futures = [writer.submit([event()], ALWAYS) for _ in range(3)]
        closer = threading.Thread(target=writer.close)
        closer.start()
        with pytest.raises(StoreError, match="is closed"):  # noqa: PT012 -- it may take a few until it is
            while True:
                futures.append(writer.submit([event()], ALWAYS))
    closer.join()
    assert [future.result() for future in futures] == list(range(1, len(futures) + 1))
    assert len(log.data()) == len(futures)


# --- The fence --------------------------------------------------------------------------------------------


def test_a_second_writer_fences_the_first(log: Log) -> None:
    """Its next append is refused, with both generations; then it refuses everything."""
    first = log.writer()
    first.append([event(data=b"1")], ALWAYS)
    second = log.writer()
    second.append([event(data=b"2")], ALWAYS)
    with pytest.raises(Fenced, match=r"generation 1 .* generation 2") as caught:
        first.append([event(data=b"-")], ALWAYS)
    assert caught.value.hint
    for refused in (lambda: first.append([event()], ALWAYS), first.head, lambda: first.submit([event()], ALWAYS)):
        with pytest.raises(Fenced):
            refused()
    second.append([event(data=b"3")], ALWAYS)
    assert log.data() == [b"1", b"2", b"3"]


def test_a_writer_is_fenced_also_when_the_second_has_written_nothing_yet(log: Log) -> None:
    first, _second = log.writer(), log.writer()
    with pytest.raises(Fenced):
        first.append([event()], ALWAYS)
    assert log.data() == []


def test_a_caller_who_knows_more_than_the_writer_learns_that_it_is_fenced(log: Log) -> None:
    """The position comes from the other writer; "not in this log" would be wrong."""
    first, second = log.writer(), log.writer()
    position = second.append([event()], ALWAYS)
    assert isinstance(position, int)
    with pytest.raises(Fenced):
        first.append([event()], once("x", after=position))


def test_any_other_append_fences_the_writer_too(log: Log) -> None:
    """Its memory of the log would be wrong from there on."""
    writer = log.writer()
    with closing(PostgresLog(log.dsn, log.schema)) as other:
        DcbEventStore(PostgresRecorder(other)).append([event(data=b"1")], ALWAYS)
    with pytest.raises(Fenced, match=r"left the log at 0; .* at 1"):
        writer.append([event()], ALWAYS)
    assert log.writer().append([event(data=b"2")], ALWAYS) == 2


def test_a_log_whose_head_is_wrong_is_not_written(log: Log) -> None:
    """Such as one restored in part."""
    log.writer().append([event()], ALWAYS)
    log.writers[0].close()
    log.execute("DELETE FROM events")
    with pytest.raises(StoreError, match="ends at 0 but its head says 1"):
        log.writer()


def test_a_schema_without_a_log_is_not_written(postgres_dsn: str, fresh_schema: str) -> None:
    with pytest.raises(StoreError) as caught:
        LogWriter(postgres_dsn, fresh_schema)
    assert "migrations" in caught.value.hint


# --- Failures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["log.before_commit", "log.after_commit"])
@pytest.mark.parametrize("count", [1, 2])
def test_an_answer_that_is_lost_is_found_out(log: Log, point: str, count: int) -> None:
    """The writer connects again and looks whether the group is there, before it writes it a second time."""
    writer = log.writer()
    failpoints.arm(point, failpoints.ERROR, count)
    outcomes = [writer.append([event(f"c:{n}", data=b"%d" % n)], once(f"c:{n}")) for n in range(3)]
    assert outcomes == [1, 2, 3]
    assert writer.stats().recoveries == 1
    assert writer.append([event("c:1")], once("c:1")) == Conflict((QueryItem(("c:1",)),), 0)
    assert log.data() == [b"0", b"1", b"2"]


def test_what_others_wrote_in_the_meantime_is_not_taken_for_ones_own(log: Log) -> None:
    """The same number of events stands there, but they are not those of the group."""
    writer = log.writer()
    with psycopg.connect(log.dsn) as other:  # commits at the end of the block
        other.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(log.schema)))
        other.execute("UPDATE log_head SET position = 1")
        other.execute("INSERT INTO events (position, type, data, tags) VALUES (1, 'a', 'theirs', '{}')")
        future = writer.submit([event(data=b"mine")], ALWAYS)
        wait_until_taken(writer)
        assert end_connections(log.dsn, log.schema) == 1
    with pytest.raises(Fenced):
        future.result()
    assert log.data() == [b"theirs"]


def test_an_append_that_was_committed_just_before_the_fence_came_down_is_not_denied(log: Log) -> None:
    """Its answer was lost, then another writer took over; the log says that it happened."""
    writer = log.writer()
    failpoints.arm("log.after_commit", failpoints.ERROR)
    with Held(log):
        future = writer.submit([event(data=b"1")], ALWAYS)
        wait_for_locks(log, 1)
        thread = threading.Thread(target=log.writer)
        thread.start()
        wait_for_locks(log, 2)
    thread.join()
    assert future.result() == 1
    with pytest.raises(Fenced):
        writer.append([event()], ALWAYS)
    assert log.data() == [b"1"]


def wait_for_locks(log: Log, waiting: int) -> None:
    """Returns once so many connections wait for the head."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with psycopg.connect(log.dsn, autocommit=True) as connection:
        while connection.execute(query, [log.schema]).fetchone() != (waiting,):
            pass


def test_lost_connections_lose_and_double_nothing(log: Log) -> None:
    """The server ends all connections again and again while threads append and read."""
    writer = log.writer()
    done = threading.Event()
    ended = 0

    def run(thread: int) -> None:
        after = 0
        for n in range(60):
            outcome = writer.append(
                [event(f"chain:{thread}", data=b"%d:%d" % (thread, n))], once(f"chain:{thread}", after)
            )
            assert isinstance(outcome, int), outcome
            after = outcome
            assert len(writer.read((QueryItem((f"chain:{thread}",)),), limit=n + 1)) == n + 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ended += end_connections(log.dsn, log.schema)
        done.wait(0.02)
    assert ended > 0
    assert writer.stats().recoveries > 0
    data = log.data()
    assert [[d for d in data if d.startswith(b"%d:" % t)] for t in range(4)] == [
        [b"%d:%d" % (t, n) for n in range(60)] for t in range(4)
    ]


FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON events EXECUTE FUNCTION full_disk()"""


def test_a_full_disk_is_an_error_and_then_the_writer_goes_on(log: Log) -> None:
    """Conflicts with what was not written are no conflicts afterwards."""
    writer = log.writer()
    writer.append([event("c:0", data=b"0")], ALWAYS)
    log.execute(FULL)
    with Held(log):
        futures: list[Future[int | Conflict]] = [writer.submit([event("c:x")], once("c:x"))]
        wait_until_taken(writer)
        futures += [writer.submit([event("c:1")], once("c:1")), writer.submit([event("c:1")], once("c:1"))]
    for future in futures:
        with pytest.raises(StoreError, match="no space left on device") as caught:
            future.result()
        assert not isinstance(caught.value, Fenced)
    log.execute("DROP TRIGGER full_disk ON events")
    assert writer.append([event("c:1", data=b"1")], once("c:1")) == 2
    assert isinstance(writer.append([event("c:1")], once("c:1")), Conflict)
    assert (log.data(), writer.stats().recoveries) == ([b"0", b"1"], 0)


def test_a_defect_of_the_writer_answers_its_callers(log: Log) -> None:
    """Nobody waits for ever, and nothing more is written; whoever starts anew finds the log as it was left."""
    writer = log.writer()
    failpoints.arm("log.before_answer", failpoints.ERROR)
    with pytest.raises(StoreError, match="has failed"):
        writer.append([event(data=b"0")], ALWAYS)
    with pytest.raises(StoreError, match="has failed"):
        writer.append([event(data=b"1")], ALWAYS)
    assert log.writer().append([event(data=b"2")], ALWAYS) == 2


# --- Telling others ---------------------------------------------------------------------------------------


def test_what_is_appended_is_published_in_order_after_it_is_committed(log: Log) -> None:
    frames: list[Positioned] = []
    seen = threading.Event()

    def publish(events: list[Positioned]) -> None:
        assert len(log.data()) >= events[-1].position
        frames.extend(events)
        if events[-1].position == 6:
            seen.set()

    writer = log.writer(publish)
    for n in range(3):
        writer.append([event("x", data=b"%d" % n), event(data=b"-")], ALWAYS)
    assert isinstance(writer.append([event()], once("x")), Conflict)
    assert seen.wait(30)
    assert frames == writer.read()


def test_a_listener_that_is_slow_or_fails_does_not_hold_up_the_log(log: Log) -> None:
    """What finds no room is dropped and counted; what was published in vain is counted too."""
    entered, proceed = threading.Event(), threading.Event()

    def publish(events: list[Positioned]) -> None:
        entered.set()
        proceed.wait(30)
        raise ConnectionError

    writer = log.writer(publish, frames_max=5)
    writer.append([event()], ALWAYS)
    assert entered.wait(30)
    for _ in range(4):
        writer.append([event(), event()], ALWAYS)
    assert (writer.stats().frames_dropped, writer.head()) == (3, 9)
    proceed.set()
    writer.close()
    assert writer.stats().frames_failed == 6
    assert len(log.data()) == 9


def test_each_commit_notifies_with_the_new_head(log: Log) -> None:
    """In the same transaction, so whoever is woken finds the events."""
    writer = log.writer()
    with connect(log.dsn, log.schema) as connection:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel(log.schema))))
        writer.append([event(), event()], ALWAYS)
        writer.append([event()], ALWAYS)
        assert [n.payload for n in connection.notifies(timeout=30, stop_after=2)] == ["2", "3"]
