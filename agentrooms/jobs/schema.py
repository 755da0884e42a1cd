"""The schema `jobs`: work to be done, when it is due, and how far the log has been followed."""

from __future__ import annotations

from agentrooms.services import migrations

SCHEMA = "jobs"


def migrate_jobs(dsn: str, schema: str = SCHEMA) -> list[int]:
    """Brings the schema to this program's version; returns the migrations applied. Raises MigrationRefused."""
    return migrations.migrate(dsn, schema, migrations.load("agentrooms.jobs"))


def wake_channel(schema: str = SCHEMA) -> str:
    """Returns the NOTIFY channel on which workers hear of new jobs."""
    return f"agentrooms_{schema}_jobs"
