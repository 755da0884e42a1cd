"""Whether an API process can answer requests now, part by part."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import redis

from agentrooms.api.home import Home
from agentrooms.api.models.operations import PartState, Readiness
from agentrooms.api.problems import Problem
from agentrooms.live.health import SILENT_S
from agentrooms.services import migrations

LAG_EVENTS_MAX = 10_000  # more than that behind, and reads show a past that nobody wants to trade on
DESK = "desk"  # the process that answers commands

_PLACE = "SELECT c.position, c.failure IS NOT NULL, h.position FROM cursor AS c, log.log_head AS h"
_VERSION = "SELECT coalesce(max(number), 0) FROM accounts.schema_version"
_DESK = """
    SELECT extract(epoch FROM now() - seen_at)::float8, coalesce(health->>'trouble', '') <> ''
    FROM live.processes WHERE name = %s"""


def readiness(home: Home) -> Readiness:
    """Returns the state of each part. Nothing of it waits longer than a pool or a connection may."""
    parts = [_part("postgres", lambda: _postgres(home))]
    if parts[0].ok:
        parts += [
            _part("readModels", lambda: _read_models(home)),
            _part("accounts", lambda: _accounts(home)),
            _part("desk", lambda: _desk(home)),
        ]
    parts.append(_part("redis", lambda: _redis(home), required=False))
    return Readiness(ready=all(part.ok for part in parts if part.required), parts=tuple(parts))


def _part(name: str, look: Callable[[], tuple[bool, str]], *, required: bool = True) -> PartState:
    """Returns what a look at a part finds. The text of an error may hold an address with a password; its type does not."""
    try:
        ok, detail = look()
    except (Problem, psycopg.Error, redis.RedisError, OSError) as error:
        ok, detail = False, str(error) if isinstance(error, Problem) else type(error).__name__
    return PartState(name=name, ok=ok, required=required, detail=detail)


def _postgres(home: Home) -> tuple[bool, str]:
    home.reads.run(lambda connection: connection.execute("SELECT 1"))
    return True, "answers"


def _read_models(home: Home) -> tuple[bool, str]:
    row = home.reads.run(lambda connection: connection.execute(_PLACE).fetchone())
    if row is None:
        return False, "have no cursor"
    position, stands, head = row
    if stands:
        return False, f"stand at event {position}: the next one could not be projected"
    return head - position <= LAG_EVENTS_MAX, f"hold {position} of {head} events"


def _accounts(home: Home) -> tuple[bool, str]:
    needed = len(migrations.load("agentrooms.accounts"))
    row = home.reads.run(lambda connection: connection.execute(_VERSION).fetchone())
    found = row[0] if row is not None else 0
    return found >= needed, f"schema {found}, needed {needed}"


def _desk(home: Home) -> tuple[bool, str]:
    row = home.reads.run(lambda connection: connection.execute(_DESK, [DESK]).fetchone())
    if row is None:
        return False, "has not been heard of yet"
    silent_s, troubled = row
    if silent_s >= SILENT_S:
        return False, f"has been silent for {silent_s:.0f} s"
    return not troubled, "reports trouble" if troubled else "answers"


def _redis(home: Home) -> tuple[bool, str]:
    home.redis.ping()
    return True, "answers"
