"""Analytics: every five minutes the figures of rooms and agents as they are, kept for charts.

The read models hold what is so now, and can be made anew from the log. This is a series of what they said; a room or
agent of which nothing has changed gets no new row.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import sql

from agentrooms.accounts.schema import DAY_MS
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import Connection, Connections, connect
from agentrooms.jobs.schema import SCHEMA
from agentrooms.jobs.work import Work

KEPT_MS = 30 * DAY_MS
POINTS_MAX = 1_000  # of one answer

_ROOMS = """
    INSERT INTO {jobs}.room_history
    SELECT r.room, %(at)s, r.floor_usdc_micros, r.top_bid_usdc_micros, r.active_buyers + r.active_sellers, r.messages,
        r.deals_completed, r.deals_failed, r.volume_usdc_micros
    FROM {read}.rooms AS r
    WHERE r.updated_at_ms > %(since)s AND NOT EXISTS (
        SELECT FROM (SELECT * FROM {jobs}.room_history AS o WHERE o.room = r.room ORDER BY at_ms DESC LIMIT 1) AS o
        WHERE (o.floor_usdc_micros, o.top_bid_usdc_micros, o.active_agents, o.messages, o.deals_completed,
            o.deals_failed) IS NOT DISTINCT FROM (r.floor_usdc_micros, r.top_bid_usdc_micros,
            r.active_buyers + r.active_sellers, r.messages, r.deals_completed, r.deals_failed))
    ON CONFLICT DO NOTHING"""
_AGENTS = """
    INSERT INTO {jobs}.agent_history
    SELECT p.agent, %(at)s, p.messages, p.deals_completed, p.deals_failed, p.savings_usdc_micros,
        p.earnings_usdc_micros
    FROM {read}.agents AS a JOIN {read}.agent_performance AS p USING (agent)
    WHERE a.swarm IS NULL AND coalesce(a.left_at_ms, %(at)s) > %(since)s AND NOT EXISTS (
        SELECT FROM (SELECT * FROM {jobs}.agent_history AS o WHERE o.agent = a.agent ORDER BY at_ms DESC LIMIT 1) AS o
        WHERE (o.messages, o.deals_completed, o.deals_failed) = (p.messages, p.deals_completed, p.deals_failed))
    ON CONFLICT DO NOTHING"""


class RoomPoint(msgspec.Struct, frozen=True):
    """A room's figures at a moment. None: no ask, or bid, stood."""

    at_ms: int
    floor_usdc_micros: int | None
    top_bid_usdc_micros: int | None
    active_agents: int
    messages: int
    deals_completed: int
    deals_failed: int
    volume_usdc_micros: int


class AgentPoint(msgspec.Struct, frozen=True):
    """An agent's performance at a moment. Savings are a buyer's, earnings a seller's."""

    at_ms: int
    messages: int
    deals_completed: int
    deals_failed: int
    savings_usdc_micros: int | None
    earnings_usdc_micros: int | None


class Analytics:
    """Keeps figures of the read schema `read` in the schema `jobs`."""

    def __init__(self, dsn: str, read: str, schema: str = SCHEMA) -> None:
        self._dsn, self._read, self._schema = dsn, read, schema

    def room_stats(self, work: Work) -> dict[str, Any]:
        """Keeps what is new of all rooms; returns how many points were kept."""
        return {"points": self._keep(_ROOMS, "room_history", work)}

    def agent_performance(self, work: Work) -> dict[str, Any]:
        """Keeps what is new of all agents that belong to no swarm; returns how many points were kept."""
        return {"points": self._keep(_AGENTS, "agent_history", work)}

    def _keep(self, query: str, table: str, work: Work) -> int:
        at_ms = int(work.job.payload["due_at_ms"])
        names = {"jobs": sql.Identifier(self._schema), "read": sql.Identifier(self._read)}
        with connect(self._dsn, self._schema, statement_timeout=str(work.left_ms)) as connection:
            forget = sql.SQL("DELETE FROM {} WHERE at_ms < %s").format(sql.Identifier(table))
            connection.execute(forget, [at_ms - KEPT_MS])
            values = {"at": at_ms, "since": at_ms - DAY_MS}
            return connection.execute(sql.SQL(query).format(**names), values).rowcount


class History:
    """Reads what analytics has kept. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        """`connections` are to the schema `jobs`."""
        self._connections = connections

    def room(self, room: str, *, after_ms: int = 0, limit: int = POINTS_MAX) -> list[RoomPoint]:
        """Returns a room's figures after a moment, in order of time. Raises InvalidInput for a wrong `limit`."""
        return self._points(RoomPoint, "room_history", "room", room, after_ms, limit)

    def agent(self, agent: str, *, after_ms: int = 0, limit: int = POINTS_MAX) -> list[AgentPoint]:
        """Returns an agent's performance after a moment, in order of time. Raises InvalidInput for a wrong `limit`."""
        return self._points(AgentPoint, "agent_history", "agent", agent, after_ms, limit)

    def _points(self, type_: Any, table: str, key: str, id: str, after_ms: int, limit: int) -> list[Any]:  # noqa: ANN401 - either kind of point
        if not 1 <= limit <= POINTS_MAX:
            raise InvalidInput(f"a page has 1 to {POINTS_MAX} points, was {limit}")
        names = type_.__struct_fields__
        query = sql.SQL("SELECT {} FROM {} WHERE {} = %s AND at_ms > %s ORDER BY at_ms LIMIT %s").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(table), sql.Identifier(key)
        )

        def read(connection: Connection) -> list[tuple[object, ...]]:
            return connection.execute(query, [id, after_ms, limit]).fetchall()

        rows = self._connections.repeat(read)
        return [msgspec.convert(dict(zip(names, row, strict=True)), type_) for row in rows]
