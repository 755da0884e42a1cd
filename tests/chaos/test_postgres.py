"""The database under a run: its disk is full, it is killed, it restarts. A clear error, then the same bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from agentrooms.chaos import strikes
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import StoreError
from agentrooms.services.postgres import Postgres
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.domain import runs

SETTINGS = preset("small_test", 7)

STRIKE_TIMEOUT_S = 60.0


@contextmanager
def run_on(dsn: str, schema: str) -> Iterator[Engine]:
    """A run whose log and vaults are in a schema; it goes on with what is there."""
    with ExitStack() as ends:
        store = ends.enter_context(closing(LogWriter(dsn, schema)))
        vaults = [ends.enter_context(closing(PostgresVault(dsn, schema, table=name))) for name in ("vault", "memory")]
        yield Engine(SETTINGS, store=store, vault=vaults[0], memory=vaults[1])


def log_of(engine: Engine) -> tuple[bytes, ...]:
    return tuple(found.event.data for found in engine.store.read())


@pytest.mark.parametrize("table", strikes.FULL_TABLES)
def test_a_full_disk_stops_a_run_with_a_clear_error_and_then_it_goes_on(
    postgres_dsn: str, fresh_schema: str, table: str
) -> None:
    """Whatever could not be written: events, secrets, or what verifiers and the chain must remember."""
    migrate_log(postgres_dsn, fresh_schema)
    mend = None
    with run_on(postgres_dsn, fresh_schema) as engine:
        for _message in range(60):
            engine.runtime.step()
        mend = strikes.fill_disk(postgres_dsn, fresh_schema, table)
        assert mend is not None
        with pytest.raises(StoreError, match="no space left on device") as failed:
            engine.run()
        assert "disk has room" in failed.value.hint
    mend()
    with run_on(postgres_dsn, fresh_schema) as engine:
        engine.run()
        assert log_of(engine) == runs.lines(SETTINGS)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Postgres]:
    """A server of this test alone."""
    server = Postgres(tmp_path / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_a_run_waits_for_a_server_that_is_killed_or_restarts(own_server: Postgres) -> None:
    """As it begins, and again and again while it runs; nothing is lost or doubled."""
    migrate_log(own_server.dsn, "log")
    hows, down, over = ["kill", "restart", "kill"], threading.Event(), threading.Event()

    def strike() -> None:
        for how in hows:
            mend = strikes.strike_postgres(own_server, how)
            assert mend is not None
            down.set()
            mend()
            if over.wait(0.2):
                return

    thread = threading.Thread(target=strike)
    with run_on(own_server.dsn, "log") as engine:
        thread.start()
        assert down.wait(STRIKE_TIMEOUT_S)
        engine.run()
        over.set()
        thread.join()
        assert log_of(engine) == runs.lines(SETTINGS)
        with psycopg.connect(own_server.dsn) as connection:
            rows = connection.execute("SELECT position, generation FROM log.log_head").fetchone()
    assert rows is not None
    assert rows[0] == len(runs.lines(SETTINGS))
    assert rows[1] > 1  # its connection was lost and won back
