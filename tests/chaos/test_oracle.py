"""The oracle sees what chaos must not do: each kind of damage to a finished system is found."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from agentrooms.chaos import oracle
from agentrooms.domain.deal import DealCertified, DealCompleted, DealLocked
from agentrooms.domain.room import RoomClosed
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.record import decode_line
from agentrooms.events.store import Condition, Positioned, StoredEvent
from agentrooms.events.tags import cmd_tag
from agentrooms.events.vault import MemoryVault
from agentrooms.live.access import READ
from agentrooms.projections.projector import Projector
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset

Log = list[Positioned]


def finished() -> tuple[Log, MemoryVault]:
    """A run's log, and what verifiers and ledger remember."""
    memory = MemoryVault()
    engine = Engine(preset("small_test", 7), memory=memory)
    engine.run()
    return engine.store.read(), memory


STORED, MEMORY = finished()
EVENTS = oracle.recorded(STORED)


def first(kind: type) -> int:
    """Where the first event of a type stands."""
    return next(at for at, event in enumerate(EVENTS) if isinstance(event.event, kind))


def renumbered(log: Log) -> Log:
    return [Positioned(at, found.event) for at, found in enumerate(log, 1)]


def lost(log: Log) -> Log:
    return renumbered(log[:30] + log[31:])


def doubled(log: Log) -> Log:
    return renumbered(log[:31] + log[30:])


def gap(log: Log) -> Log:
    return [*log[:-1], Positioned(log[-1].position + 1, log[-1].event)]


def lock_left(log: Log) -> Log:
    return log[: first(DealLocked) + 1]


def end_without_lock(log: Log) -> Log:
    return renumbered([log[first(DealCompleted)]])


def open_room(log: Log) -> Log:
    return log[: first(RoomClosed)]


def two_effects(log: Log) -> Log:
    """The last round has the tag of the first one's command, too."""
    tag = next(tag for tag in log[-3].event.tags if tag.startswith(oracle.CMD))
    event = log[-20].event
    return [
        *log[:-20],
        Positioned(log[-20].position, StoredEvent(event.type, event.data, (*event.tags, tag))),
        *log[-19:],
    ]


DAMAGE: list[tuple[Callable[[Log], Log], str]] = [
    (lost, "or on another hash"),
    (doubled, "or on another hash"),
    (gap, "positions are not"),
    (lock_left, "ended 0 times"),
    (end_without_lock, "without a lock"),
    (open_room, "has closed 0 times"),
    (two_effects, "had 2 effects"),
]


def test_a_sound_log_passes() -> None:
    """Nothing is wrong with a run that nothing struck."""
    assert oracle.check_log(STORED) == []
    assert oracle.check_ledger(MEMORY, EVENTS) == []
    assert oracle.check_votes(MEMORY, EVENTS) == []


@pytest.mark.parametrize(("damage", "found"), DAMAGE, ids=lambda value: getattr(value, "__name__", ""))
def test_damage_to_the_log_is_found(damage: Callable[[Log], Log], found: str) -> None:
    """And named."""
    assert any(found in wrong for wrong in oracle.check_log(damage(STORED)))


def test_a_ledger_that_executed_another_deal_is_found() -> None:
    """In either direction."""
    until = [event for event in EVENTS if not isinstance(event.event, DealCompleted)]
    assert "executed on the chain" in oracle.check_ledger(MEMORY, until)[0]
    assert "executed on the chain" in oracle.check_ledger(MemoryVault(), EVENTS)[0]


def test_a_vote_that_its_verifier_does_not_remember_is_found() -> None:
    """A verifier that has forgotten one, and one that remembers another."""
    certified = EVENTS[first(DealCertified)].event
    assert isinstance(certified, DealCertified)
    one, other = certified.votes[:2]
    key = f"vote/{one.verifier}/{certified.deal}"
    lines = MEMORY.export().splitlines()
    forgotten = MemoryVault.load(b"\n".join(line for line in lines if key.encode() not in line))
    assert oracle.check_votes(forgotten, EVENTS) == [f"{key} is not remembered"]
    forgotten.put(key, MEMORY.get(f"vote/{other.verifier}/{certified.deal}"))
    assert oracle.check_votes(forgotten, EVENTS) == [f"{key}: the certificate has another vote"]


def test_a_row_that_the_log_does_not_have_is_found(postgres_dsn: str, fresh_schema: str) -> None:
    """The live tables are compared with tables made anew; here somebody has changed a row."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(fresh_schema)))
    dsn = psycopg.conninfo.make_conninfo(postgres_dsn, dbname=fresh_schema)
    migrate_log(dsn, "log")
    with closing(LogWriter(dsn, "log")) as writer:
        writer.append([found.event for found in STORED], Condition((), 0))
        with closing(Projector(writer, dsn, READ)) as projector:
            while projector.step():
                pass
    assert oracle.projected(dsn) == len(STORED)
    assert oracle.check_tables(dsn, "log") == []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE read.agents SET name = 'Nobody' WHERE name = (SELECT min(name) FROM read.agents)")
    assert oracle.check_tables(dsn, "log") != []


def test_events_are_those_of_the_log() -> None:
    """What the checks look at is what is stored."""
    assert [decode_line(found.event.data) for found in STORED] == EVENTS
    assert all(cmd_tag(event.cmd) in found.event.tags for event, found in zip(EVENTS, STORED, strict=True))
