"""Schemas that a measurement has to itself."""

from __future__ import annotations

import secrets

import psycopg
from psycopg import sql


def new_schema() -> str:
    """Returns a name that no schema has."""
    return f"bench_{secrets.token_hex(6)}"


def drop_schema(dsn: str, schema: str) -> None:
    """Drops a schema with all in it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
