"""Rebuilds and deaths: the tables in use stay whole, readers and projectors go on, and all comes to the same."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest

from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import StoredEvent
from agentrooms.projections import queries
from agentrooms.projections.catching_up import wait_for
from agentrooms.projections.model import Unprojectable
from agentrooms.projections.projector import Projector
from agentrooms.projections.rebuild import RebuildRefused, compare, rebuild
from agentrooms.projections.writing import place
from agentrooms.services.failpoints import EXIT_STATUS, VARIABLE
from tests.projections.logs import assert_tables_are_those_of_the_log, drop, extend, log_of, mixed, select, stored

CLIENTS = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
ROOT = Path(__file__).resolve().parents[2]


def child(
    tmp_path: Path, what: str, dsn: str, schema: str, events: Sequence[StoredEvent], failpoint: str
) -> subprocess.Popen[str]:
    """A process that projects or rebuilds, and dies at the failpoint."""
    file = tmp_path / "log.json"
    file.write_bytes(msgspec.json.encode([(e.type, e.data, e.tags) for e in events]))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.projections.child", what, dsn, schema, str(file)],
        cwd=ROOT,
        env={**os.environ, VARIABLE: failpoint},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_rebuild_goes_on_under_a_live_projector_and_its_readers(postgres_dsn: str, fresh_schema: str) -> None:
    """Readers never see the position go back or a table missing; the projector goes on in the new tables."""
    events, store, stop = mixed(5), MemoryEventStore(), threading.Event()
    extend(store, events[:200])
    with closing(Projector(store, postgres_dsn, fresh_schema)) as first:
        first.step()
    live = Projector(store, postgres_dsn, fresh_schema, channel="news", batch_events=25)
    runner = threading.Thread(target=live.run, args=[stop])
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        with queries.connect(postgres_dsn, fresh_schema) as reader:
            while not stop.is_set():
                at = queries.lag(reader, 0)
                seen.append((at.epoch, at.position))
                queries.overall(reader)

    watcher = threading.Thread(target=watch)
    runner.start()
    watcher.start()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        for _ in range(3):
            reached = rebuild(
                store, postgres_dsn, fresh_schema, lambda _position, _head: extend(store, events[store.head() :][:90])
            )
            connection.execute("NOTIFY news")
            assert reached >= 200
        extend(store, events[store.head() :])
        connection.execute("NOTIFY news")
    with queries.connect(postgres_dsn, fresh_schema) as reader:
        wait_for(lambda: place(reader), len(events), 30)
    stop.set()
    runner.join()
    watcher.join()
    assert seen == sorted(seen)
    assert {0, 3} <= {epoch for epoch, _ in seen}
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, store)


def test_a_rebuild_mends_tables_that_were_tampered_with(postgres_dsn: str, fresh_schema: str) -> None:
    """And the comparison, which finds nothing after every chaos run, would have found it."""
    store = log_of(stored("balanced"))
    rebuild(store, postgres_dsn, fresh_schema)  # there was no such schema yet
    copy = f"{fresh_schema}_copy"
    rebuild(store, postgres_dsn, copy)
    with queries.connect(postgres_dsn, fresh_schema) as connection:
        connection.execute(
            "UPDATE deals SET price_usdc_micros = price_usdc_micros + 1 WHERE locked_event = (SELECT min(locked_event) FROM deals)"
        )
        connection.execute("DELETE FROM users WHERE wallet = (SELECT min(wallet) FROM users)")
    found = {d.table: (d.only_in_a, d.only_in_b) for d in compare(postgres_dsn, fresh_schema, copy)}
    assert found["deals"] == (1, 1)
    assert found["users"] == (0, 1)
    rebuild(store, postgres_dsn, fresh_schema)
    assert compare(postgres_dsn, fresh_schema, copy) == []
    assert select(postgres_dsn, fresh_schema, "SELECT epoch FROM cursor") == [(2,)]
    drop(postgres_dsn, copy)


def test_of_two_rebuilds_at_once_the_second_is_refused(postgres_dsn: str, fresh_schema: str) -> None:
    store = log_of(stored("small"))
    refused = []

    def meanwhile(position: int, head: int) -> None:
        with pytest.raises(RebuildRefused, match="is being rebuilt or checked") as second:
            rebuild(store, postgres_dsn, fresh_schema)
        refused.append(second.value)

    rebuild(store, postgres_dsn, fresh_schema, meanwhile)
    assert refused
    with pytest.raises(RebuildRefused, match="longer than 58 bytes"):
        rebuild(store, postgres_dsn, "x" * 59)


def test_a_long_read_is_not_cut_and_does_not_hold_up_the_swap(
    postgres_dsn: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentrooms.projections.rebuild.SWAP_TIMEOUT_MS", 50)
    store = log_of(stored("small"))
    rebuild(store, postgres_dsn, fresh_schema)
    with queries.connect(postgres_dsn, fresh_schema) as reader, reader.transaction():
        before = queries.agents(reader)
        rebuild(store, postgres_dsn, fresh_schema)
        assert queries.agents(reader) == before
        assert queries.lag(reader, 0).epoch == 2
        with pytest.raises(RebuildRefused, match="does not end"):
            rebuild(store, postgres_dsn, fresh_schema)  # the tables before last are in use yet
    assert rebuild(store, postgres_dsn, fresh_schema) == store.head()
    assert select(postgres_dsn, fresh_schema, "SELECT epoch FROM cursor") == [(3,)]


def test_a_log_that_cannot_be_projected_leaves_the_tables_in_use(postgres_dsn: str, fresh_schema: str) -> None:
    events = list(stored("small"))
    rebuild(log_of(events), postgres_dsn, fresh_schema)
    events[20] = StoredEvent(events[20].type, b"?", events[20].tags)
    with pytest.raises(Unprojectable, match="event 21 of the log"):
        rebuild(log_of(events), postgres_dsn, fresh_schema)
    drop(postgres_dsn, f"{fresh_schema}_next")
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(stored("small")))


@pytest.mark.parametrize(
    ("what", "failpoint"),
    [
        ("project", "projector.before_commit:exit:3"),
        ("project", "projector.after_commit:exit:3"),
        ("rebuild", "projector.before_commit:exit"),
        ("rebuild", "rebuild.before_swap:exit"),
        ("rebuild", "rebuild.in_swap:exit"),
    ],
)
def test_a_process_that_dies_leaves_whole_tables_and_another_goes_on(
    tmp_path: Path, postgres_dsn: str, fresh_schema: str, what: str, failpoint: str
) -> None:
    events = mixed(11, ("small", "balanced", "underfunded"))
    prefix = 0
    if what == "rebuild":
        prefix = 150
        with closing(Projector(log_of(events[:prefix]), postgres_dsn, fresh_schema)) as before:
            before.step()
    dying = child(tmp_path, what, postgres_dsn, fresh_schema, events, failpoint)
    said, _ = dying.communicate()
    assert dying.returncode == EXIT_STATUS
    if what == "project":
        written = [int(line) for line in said.split()]
        prefix = written[-1] + (40 if failpoint.startswith("projector.after") else 0)
    (position,) = select(postgres_dsn, fresh_schema, "SELECT position FROM cursor")
    assert position == (prefix,)
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(events[:prefix]))
    store = log_of(events)
    if what == "rebuild":
        assert rebuild(store, postgres_dsn, fresh_schema) == len(events)
    else:
        with closing(Projector(store, postgres_dsn, fresh_schema)) as after:
            while after.step():
                pass
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, store)
    left = select(
        postgres_dsn, fresh_schema, "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", f"{fresh_schema}%"
    )
    assert left == [(fresh_schema,)]


@pytest.mark.parametrize("what", ["project", "rebuild"])
def test_kill_9_at_any_moment(tmp_path: Path, postgres_dsn: str, fresh_schema: str, what: str) -> None:
    events = mixed(12)
    store = log_of(events)
    with closing(Projector(log_of(events[:10]), postgres_dsn, fresh_schema)) as before:
        before.step()
    others = set(select(postgres_dsn, fresh_schema, CLIENTS))
    dying = child(tmp_path, what, postgres_dsn, fresh_schema, events, "")
    assert dying.stdout is not None
    dying.stdout.readline()  # it is in the middle of something
    dying.kill()
    dying.communicate()
    while set(select(postgres_dsn, fresh_schema, CLIENTS)) - others:
        pass  # its server process ends what it has been told to do
    with queries.connect(postgres_dsn, fresh_schema) as reader:
        position = queries.lag(reader, len(events)).position
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, log_of(events[:position]))
    with closing(Projector(store, postgres_dsn, fresh_schema)) as after:
        while after.step():
            pass
    assert_tables_are_those_of_the_log(postgres_dsn, fresh_schema, store)
    drop(postgres_dsn, f"{fresh_schema}_next")
