"""Migrations bring a schema to the program's version, once, in order, or say why not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from agentrooms.services.migrations import Migration, MigrationRefused, load, migrate

FIRST = Migration(1, "rooms", "CREATE TABLE rooms (id int); INSERT INTO rooms VALUES (1)")
SECOND = Migration(2, "names", "ALTER TABLE rooms ADD name text; UPDATE rooms SET name = 'old'")
BROKEN = Migration(3, "broken", "CREATE TABLE half (id int); SELECT no_such_function()")


def rows(dsn: str, schema: str, table: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        query = sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier(schema, table))
        return connection.execute(query).fetchall()


def tables(dsn: str, schema: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1"
        return [row[0] for row in connection.execute(query, [schema])]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package `migrated` with an empty folder of migrations, which is returned."""
    folder = tmp_path / "migrated" / "migrations"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("migrated", None)


def test_they_apply_in_order_and_only_once(postgres_dsn: str, fresh_schema: str) -> None:
    assert migrate(postgres_dsn, fresh_schema, [FIRST, SECOND]) == [1, 2]
    assert rows(postgres_dsn, fresh_schema, "rooms") == [(1, "old")]
    assert migrate(postgres_dsn, fresh_schema, [FIRST, SECOND]) == []


def test_a_schema_of_the_previous_version_is_lifted_with_its_rows(postgres_dsn: str, fresh_schema: str) -> None:
    migrate(postgres_dsn, fresh_schema, [FIRST])
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(sql.SQL("INSERT INTO {} VALUES (2)").format(sql.Identifier(fresh_schema, "rooms")))
    assert migrate(postgres_dsn, fresh_schema, [FIRST, SECOND]) == [2]
    assert rows(postgres_dsn, fresh_schema, "rooms") == [(1, "old"), (2, "old")]


def test_several_at_once_apply_each_migration_once(postgres_dsn: str, fresh_schema: str) -> None:
    def one(_: int) -> list[int]:
        return migrate(postgres_dsn, fresh_schema, [FIRST, SECOND])

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(one, range(4)))
    assert sorted(applied) == [[], [], [], [1, 2]]
    assert rows(postgres_dsn, fresh_schema, "rooms") == [(1, "old")]


def test_a_failed_migration_leaves_nothing_of_itself(postgres_dsn: str, fresh_schema: str) -> None:
    with pytest.raises(MigrationRefused, match=r"0003_broken.*no_such_function"):
        migrate(postgres_dsn, fresh_schema, [FIRST, SECOND, BROKEN])
    assert tables(postgres_dsn, fresh_schema) == ["rooms", "schema_version"]
    mended = Migration(3, "mended", "CREATE TABLE whole (id int)")
    assert migrate(postgres_dsn, fresh_schema, [FIRST, SECOND, mended]) == [3]


def test_a_changed_migration_is_refused(postgres_dsn: str, fresh_schema: str) -> None:
    migrate(postgres_dsn, fresh_schema, [FIRST])
    changed = Migration(1, "rooms", FIRST.text + " ")
    with pytest.raises(MigrationRefused, match="made with another 0001_rooms"):
        migrate(postgres_dsn, fresh_schema, [changed, SECOND])
    assert rows(postgres_dsn, fresh_schema, "rooms") == [(1,)]


def test_a_database_newer_than_the_program_is_refused(postgres_dsn: str, fresh_schema: str) -> None:
    migrate(postgres_dsn, fresh_schema, [FIRST, SECOND])
    with pytest.raises(MigrationRefused, match="at version 2; this program knows 1"):
        migrate(postgres_dsn, fresh_schema, [FIRST])


def test_a_migration_cannot_end_its_own_transaction(postgres_dsn: str, fresh_schema: str) -> None:
    with pytest.raises(MigrationRefused, match="0001_own"):
        migrate(postgres_dsn, fresh_schema, [Migration(1, "own", "COMMIT")])
    assert rows(postgres_dsn, fresh_schema, "schema_version") == []


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="schema 'log' cannot be migrated"):
        migrate(f"postgresql:///postgres?host={tmp_path}", "log", [FIRST])


def test_files_are_loaded_by_number_whatever_their_line_ends(package: Path) -> None:
    (package / "0002_names.sql").write_bytes(b"SELECT 2;\r\nSELECT 3\r\n")
    (package / "0001_rooms.sql").write_bytes(b"SELECT 1\n")
    (package / "notes.md").touch()
    assert load("migrated") == (Migration(1, "rooms", "SELECT 1"), Migration(2, "names", "SELECT 2;\nSELECT 3"))


@pytest.mark.parametrize(
    "names", [["0002_late.sql"], ["0001_a.sql", "0001_b.sql"], ["1_short.sql"], ["0001_Upper.sql"]], ids=str
)
def test_files_out_of_order_are_refused(package: Path, names: list[str]) -> None:
    for name in names:
        (package / name).touch()
    with pytest.raises(MigrationRefused):
        load("migrated")
