"""Our own Postgres server: it keeps what was committed, whatever happens to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from agentrooms.services.postgres import Postgres, PostgresFailed, connect_or_start
from agentrooms.services.sockets import PATH_BYTES_MAX


@pytest.fixture(scope="module")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Postgres]]:
    """Makes servers that are stopped in the end, whatever the test did."""
    made: list[Postgres] = []

    def make(folder: Path) -> Postgres:
        made.append(Postgres(folder))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def server(make_server: Callable[[Path], Postgres], tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    # Spaces and quotes in a path pass through pg_ctl and a shell.
    return make_server(tmp_path_factory.mktemp("it's a folder") / "postgres")


def write(dsn: str, number: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def numbers(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM kept ORDER BY number")]


def test_a_server_keeps_its_data_over_a_stop(server: Postgres) -> None:
    write(server.start(), 1)
    server.stop()
    assert server.pid is None
    assert numbers(server.start()) == [1]


def test_a_running_server_is_adopted(server: Postgres) -> None:
    server.start()
    again = Postgres(server.folder)
    assert again.start() == server.dsn
    assert again.pid == server.pid


def test_it_is_durable_and_private(server: Postgres) -> None:
    with psycopg.connect(server.start()) as connection:
        shown = connection.execute("SELECT current_setting('fsync'), current_setting('listen_addresses')").fetchone()
        order = connection.execute("SELECT array_agg(t ORDER BY t) FROM unnest(ARRAY['b', 'ä', 'B', 'a']) t").fetchone()
    assert shown == ("on", "")
    assert order == (["B", "a", "b", "ä"],)
    assert server.folder.stat().st_mode & 0o077 == 0


def test_a_killed_server_starts_again_with_all_that_was_committed(server: Postgres) -> None:
    write(server.start(), 2)
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert 2 in numbers(server.start())
    assert server.pid != pid


def test_a_stale_pid_file_that_names_another_process_is_no_server(server: Postgres) -> None:
    server.start()
    lines = (server.folder / "postmaster.pid").read_text().splitlines()
    server.stop()
    (server.folder / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    assert server.pid is None
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(
    make_server: Callable[[Path], Postgres], tmp_path: Path
) -> None:
    server = make_server(tmp_path / ("long" * PATH_BYTES_MAX)[:PATH_BYTES_MAX])
    dsn = server.start()
    with psycopg.connect(dsn) as connection:
        sockets = Path(connection.info.host)
    assert len(str(sockets)) < PATH_BYTES_MAX
    assert sockets.stat().st_mode & 0o077 == 0
    server.stop()
    assert not sockets.exists()


def test_a_server_at_a_url_is_used_and_left_alone(postgres_dsn: str, tmp_path: Path) -> None:
    database = connect_or_start(postgres_dsn, tmp_path / "postgres")
    database.stop()
    assert (database.dsn, database.server) == (postgres_dsn, None)
    assert not (tmp_path / "postgres").exists()
    psycopg.connect(postgres_dsn).close()


def test_a_url_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(PostgresFailed, match="DATABASE_URL does not answer") as caught:
        connect_or_start(f"postgresql://user:hunter2@/db?host={tmp_path}", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_data_of_another_major_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresFailed, match="made by Postgres 12"):
        Postgres(tmp_path).start()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(PostgresFailed, match="not empty"):
        Postgres(tmp_path).start()
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_creation_that_was_cut_short_is_begun_anew(make_server: Callable[[Path], Postgres], tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    server = make_server(tmp_path / "postgres")
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert [path.name for path in tmp_path.iterdir()] == ["postgres"]


def test_broken_settings_are_quoted_from_the_servers_log(server: Postgres) -> None:
    server.start()
    server.stop()
    settings = server.folder / "postgresql.auto.conf"
    whole = settings.read_text()
    settings.write_text("shared_buffers = 'many'\n")
    try:
        with pytest.raises(PostgresFailed, match="shared_buffers"):
            server.start()
    finally:
        settings.write_text(whole)
