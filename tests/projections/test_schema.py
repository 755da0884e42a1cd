"""The tables are as they are declared and documented, and no column could hold a secret."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from agentrooms.projections import read_docs
from agentrooms.projections.projector import MIGRATIONS
from agentrooms.projections.read_rows import READ_TABLES
from agentrooms.projections.read_views import VIEWS
from agentrooms.services.migrations import migrate
from tests.projections.logs import select

GENERATED = {"deals": {"status"}, "messages": {"sentiment"}}
SECRETS = ("limit", "reservation", "maximum", "max_", "min_", "start_usdc", "mandate", "reason")
OPEN = {"left_reason", "close_reason", "fail_reason", "reasons", "min_price_usdc_micros", "max_price_usdc_micros"}


@pytest.fixture
def schema(postgres_dsn: str, fresh_schema: str) -> str:
    """A read schema without rows."""
    migrate(postgres_dsn, fresh_schema, MIGRATIONS)
    return fresh_schema


def columns(dsn: str, schema: str, table: str) -> dict[str, tuple[str, bool]]:
    """Each column's type and whether it may be null."""
    query = """SELECT column_name::text, data_type::text, is_nullable = 'YES' FROM information_schema.columns
        WHERE table_schema = %s AND table_name = %s"""
    return {name: (type_, null) for name, type_, null in select(dsn, schema, query, schema, table)}


def declared(row: type[msgspec.Struct]) -> dict[str, tuple[str, bool]]:
    """The same as the row type says it."""
    hints = get_type_hints(row, include_extras=True)
    return {name: read_docs.sql_type(get_args(hints[name])[0]) for name in row.__struct_fields__}


def test_tables_are_as_declared(postgres_dsn: str, schema: str) -> None:
    for table in READ_TABLES:
        found = columns(postgres_dsn, schema, table.name)
        extra = GENERATED.get(table.name, set())
        assert {name: of for name, of in found.items() if name not in extra} == declared(table.row), table.name
        assert extra <= found.keys()


def test_views_are_as_declared(postgres_dsn: str, schema: str) -> None:
    """Postgres does not know which columns of a view may be null."""
    for name, row in VIEWS.items():
        found = {column: type_ for column, (type_, _) in columns(postgres_dsn, schema, name).items()}
        assert found == {column: type_ for column, (type_, _) in declared(row).items()}, name


def test_texts_are_compared_byte_by_byte(postgres_dsn: str, schema: str) -> None:
    query = """SELECT table_name::text, column_name::text FROM information_schema.columns JOIN information_schema.tables
        USING (table_schema, table_name) WHERE table_schema = %s AND data_type = 'text' AND table_type = 'BASE TABLE'
        AND collation_name IS DISTINCT FROM 'C' AND table_name NOT IN ('cursor', 'schema_version')"""
    assert select(postgres_dsn, schema, query, schema) == []


def test_no_column_could_hold_a_limit_or_a_private_reason() -> None:
    """Whoever adds such a column adds it to the open ones, and says why."""
    rows = [table.row for table in READ_TABLES] + list(VIEWS.values())
    found = {field for row in rows for field in row.__struct_fields__ for secret in SECRETS if secret in field}
    assert found == OPEN


def test_the_page_is_up_to_date() -> None:
    """Run `python -m agentrooms.projections.read_docs > docs/read-models.md`."""
    page = Path(__file__).resolve().parents[2] / "docs" / "read-models.md"
    assert page.read_text(encoding="utf-8") == read_docs.page()
