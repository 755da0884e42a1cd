"""The log's tables under any caller: positions stay dense, texts come back, rare tags are found at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.events import postgres_log
from agentrooms.events.dcb import DcbEventStore, PostgresRecorder
from agentrooms.events.postgres import connect, migrate_log
from agentrooms.events.postgres_log import PostgresLog, Rows
from agentrooms.events.store import Condition, Conflict, Query, QueryItem, StoredEvent, StoreError
from tests.cutting import end_connections

ALWAYS = Condition((QueryItem(tags=("nothing has this tag",)),), 0)


@pytest.fixture
def log(postgres_dsn: str, fresh_schema: str) -> Iterator[PostgresLog]:
    migrate_log(postgres_dsn, fresh_schema)
    log = PostgresLog(postgres_dsn, fresh_schema)
    yield log
    log.close()


def event(*tags: str, data: bytes = b"") -> StoredEvent:
    return StoredEvent("a", data, tags)


def test_callers_at_once_leave_dense_positions_and_one_winner_each(log: PostgresLog) -> None:
    """Six threads, each tries all commands; every command has one effect."""
    commands = [f"cmd:{n}" for n in range(20)]
    outcomes: list[int | Conflict] = []

    def run() -> None:
        store = DcbEventStore(PostgresRecorder(log))
        outcomes.extend(store.append([event(c), event(c)], Condition((QueryItem((c,)),), 0)) for c in commands)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(o for o in outcomes if isinstance(o, int)) == list(range(2, 41, 2))
    assert len(outcomes) == 120
    read = log.read()
    assert [p.position for p in read] == list(range(1, 41))
    assert sorted(p.event.tags[0] for p in read) == sorted(2 * commands)


def test_reading_goes_on_over_pages(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a query, and up to a limit beyond one page."""
    log.append([event("x" if n % 3 else "y", data=bytes([n])) for n in range(100)], None)
    monkeypatch.setattr(postgres_log, "PAGE_EVENTS", 7)
    everything = log.read()
    assert [p.event.data[0] for p in everything] == list(range(100))
    query: Query = (QueryItem(("y",)),)
    assert [p.event.data[0] for p in log.read(query)] == list(range(0, 100, 3))
    assert log.read(query, after=10, limit=20) == [p for p in everything[10:] if p.event.tags == ("y",)][:20]


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)


@given(st.lists(TEXTS, max_size=4) | st.lists(st.sampled_from(['"', "\\", ",", "{}", "NULL", "", '","', " a "])))
def test_tags_of_any_text_come_back(stores: None, tags: list[str]) -> None:
    """Quotes, commas, backslashes and empty texts included; their order too."""
    from tests.events.stores import ADAPTERS

    store = ADAPTERS["dcb in Postgres"]()
    stored = event(*tags)
    store.append([stored], ALWAYS)
    assert [p.event for p in store.read()] == [stored]
    assert len(store.read((QueryItem(tuple(tags)),))) == 1


@pytest.mark.parametrize("bad", ["\0", "\ud800", "é" * 501, "x" * 1001])
def test_a_tag_that_postgres_cannot_hold_is_refused(log: PostgresLog, bad: str) -> None:
    """Before anything is sent."""
    with pytest.raises(StoreError):
        log.append([event("fine"), event(bad)], None)
    assert log.append([event("é" * 500), event("x" * 1000)], None) == 2


def test_an_append_too_large_is_refused() -> None:
    """It would be a group of its own that outgrows every bound."""
    with pytest.raises(StoreError, match="exceeds"):
        Rows.of([event(data=bytes(postgres_log.APPEND_BYTES_MAX + 1))])


def test_a_schema_without_a_log_says_what_to_do(postgres_dsn: str, fresh_schema: str) -> None:
    with closing(PostgresLog(postgres_dsn, fresh_schema)) as log, pytest.raises(StoreError) as caught:
        log.head()
    assert "migrations" in caught.value.hint


def test_a_lost_connection_is_replaced(log: PostgresLog, postgres_dsn: str) -> None:
    """A reader does not notice that the server closed its connection."""
    log.append([event("x")], None)
    assert end_connections(postgres_dsn, log.schema)
    assert len(log.read()) == 1


def test_a_rare_tag_is_found_through_its_index(log: PostgresLog) -> None:
    """A short chain in a long log, and a command that is not there, without walking through the log."""
    for start in range(0, 20_000, 5_000):
        log.append([event(f"room:{n % 100}", f"cmd:{n}") for n in range(start, start + 5_000)], None)
    where, parameters, by_tag = postgres_log._where((QueryItem(("room:7",)), QueryItem(("cmd:none",), ("a",))))
    assert by_tag
    statement = "EXPLAIN (ANALYZE, FORMAT TEXT) " + postgres_log._BY_TAG.format(where=where)
    with connect(log.dsn, log.schema, plan_cache_mode="force_custom_plan") as connection:
        connection.execute("ANALYZE events")
        rows = connection.execute(statement.encode(), [0, *parameters, 1]).fetchall()
    plan = "\n".join(str(row[0]) for row in rows)
    assert "Bitmap Index Scan on events_tags" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "events_pkey" not in plan, plan
