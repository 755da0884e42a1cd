"""Two writers where one may be: of one room, and of one log. One of them is fenced, the log stays sound."""

from __future__ import annotations

import random
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.actors.room import RoomLost
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_fence import Fenced
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.vault import MemoryVault
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.domain import runs

SETTINGS = preset("small_test", 7)


def steps(engine: Engine, count: int) -> bool:
    """Delivers messages; False when none is left."""
    return all(engine.runtime.step() for _ in range(count))


@given(st.integers(0, 2**32))
def test_of_two_actors_of_one_room_one_is_fenced_and_no_byte_is_lost(seed: int) -> None:
    """They take turns, at random; whoever meets the other's round ends, and the other brings the run to its end."""
    draw = random.Random(seed)
    store, vault, memory = MemoryEventStore(), MemoryVault(), MemoryVault()
    first = Engine(SETTINGS, store=store, vault=vault, memory=memory)
    steps(first, draw.randrange(60))
    # Another process has a ledger of its own on the same memory; here both see one.
    others = [first, Engine(SETTINGS, store=store, vault=vault, memory=memory, chain=first.chain)]
    fenced = 0
    while len(others) == 2:
        one = draw.choice(others)
        try:
            if not steps(one, draw.randrange(1, 12)):
                break
        except RoomLost:
            others.remove(one)
            fenced += 1
    others[0].run()
    assert fenced == 1
    assert tuple(found.event.data for found in store.read()) == runs.lines(SETTINGS)


def test_of_two_log_writers_the_first_is_fenced_and_the_run_goes_on_with_the_second(
    postgres_dsn: str, fresh_schema: str
) -> None:
    """The run fails with a clear error; started again on the log, it has the same bytes."""
    migrate_log(postgres_dsn, fresh_schema)
    with (
        closing(PostgresVault(postgres_dsn, fresh_schema)) as vault,
        closing(PostgresVault(postgres_dsn, fresh_schema, table="memory")) as memory,
        closing(LogWriter(postgres_dsn, fresh_schema)) as first,
    ):
        engine = Engine(SETTINGS, store=first, vault=vault, memory=memory)
        steps(engine, 100)
        with closing(LogWriter(postgres_dsn, fresh_schema)) as second:
            with pytest.raises(Fenced, match="now generation 2"):
                engine.run()
            again = Engine(SETTINGS, store=second, vault=vault, memory=memory)
            again.run()
            assert tuple(found.event.data for found in second.read()) == runs.lines(SETTINGS)
