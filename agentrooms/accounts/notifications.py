"""What people were told: a bounded list a user, the newest first. Nothing of it is in the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from agentrooms.accounts.erasure import stays
from agentrooms.accounts.schema import now_ms
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import Connection, Connections

KEPT_MAX = 500  # of one user; the oldest go first
PAGE_MAX = 100


class Kind(StrEnum):
    """What a notification is about. The values stand on the wire."""

    DEAL_COMPLETED = "deal_completed"
    DEAL_FAILED = "deal_failed"
    AGENT_LEFT = "agent_left"
    WEBHOOK_DISABLED = "webhook_disabled"


class Notification(msgspec.Struct, frozen=True):
    """One notification. `number` is its place in the list; ids that do not concern it are empty.

    `facts` are public texts, such as an item's name, a price in micro-USDC, a reason.
    """

    number: int
    id: str
    user: str
    kind: Kind
    room: str
    deal: str
    agent: str
    facts: dict[str, Any]
    created_at_ms: int
    read_at_ms: int | None


_COLUMNS = "number, id, user_id, kind, room, deal, agent, facts, created_at_ms, read_at_ms"


class Notifications:
    """All notifications. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(self, connections: Connections, clock_ms: Callable[[], int] = now_ms) -> None:
        self._connections = connections
        self._clock_ms = clock_ms

    def record(
        self, id: str, user: str, kind: Kind, *, room: str = "", deal: str = "", agent: str = "", facts: dict[str, Any]
    ) -> Notification | None:
        """Keeps a notification, once an id; returns it, also when it was there.

        None for a user who never signed in, or had all erased since: they are told nothing.
        """
        values = [id, user, kind, room, deal, agent, msgspec.json.encode(facts, order="sorted").decode()]

        def put(connection: Connection) -> Notification | None:
            with connection.transaction():
                if not stays(connection, user):
                    return None
                connection.execute(
                    "INSERT INTO notifications (id, user_id, kind, room, deal, agent, facts, created_at_ms)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
                    [*values, self._clock_ms()],
                )
                _prune(connection, user)
                return _one(connection, id)

        return self._connections.repeat(put)

    def get(self, id: str) -> Notification | None:
        """Returns a notification, None when it is gone."""
        return self._connections.repeat(lambda connection: _one(connection, id))

    def page(
        self, user: str, *, before: int | None = None, limit: int = 50, unread: bool = False
    ) -> list[Notification]:
        """Returns a user's notifications, the newest first, before the `number` of one. Raises InvalidInput."""
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidInput(f"a page has 1 to {PAGE_MAX} notifications, was {limit}")
        query = (
            f"SELECT {_COLUMNS} FROM notifications WHERE user_id = %(user)s"  # noqa: S608 -- fixed texts
            " AND (%(before)s::bigint IS NULL OR number < %(before)s) AND (NOT %(unread)s OR read_at_ms IS NULL)"
            " ORDER BY number DESC LIMIT %(limit)s"
        )
        values = {"user": user, "before": before, "unread": unread, "limit": limit}
        return self._connections.repeat(
            lambda connection: [_notification(row) for row in connection.execute(query.encode(), values)]
        )

    def unread(self, user: str) -> int:
        """Returns how many a user has not read."""
        query = "SELECT count(*) FROM notifications WHERE user_id = %s AND read_at_ms IS NULL"
        row = self._connections.repeat(lambda connection: connection.execute(query, [user]).fetchone())
        return msgspec.convert(row, tuple[int])[0]

    def read(self, user: str, ids: Sequence[str] | None = None) -> int:
        """Marks notifications of a user as read, all without `ids`; returns how many were not before."""
        query = (
            "UPDATE notifications SET read_at_ms = %(now)s WHERE user_id = %(user)s AND read_at_ms IS NULL"
            " AND (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s))"
        )
        values = {"now": self._clock_ms(), "user": user, "ids": None if ids is None else list(ids)}
        return self._connections.repeat(lambda connection: connection.execute(query, values).rowcount)


def _prune(connection: Connection, user: str) -> None:
    connection.execute(
        "DELETE FROM notifications WHERE user_id = %(user)s AND number <= ("
        "  SELECT number FROM notifications WHERE user_id = %(user)s ORDER BY number DESC OFFSET %(kept)s LIMIT 1)",
        {"user": user, "kept": KEPT_MAX},
    )


def _one(connection: Connection, id: str) -> Notification | None:
    query = f"SELECT {_COLUMNS} FROM notifications WHERE id = %s"  # noqa: S608 -- fixed texts
    row = connection.execute(query.encode(), [id]).fetchone()
    return None if row is None else _notification(row)


def _notification(row: tuple[object, ...]) -> Notification:
    fields: dict[str, Any] = dict(zip(Notification.__struct_fields__, row, strict=True))
    fields["facts"] = msgspec.json.decode(fields["facts"])
    return msgspec.convert(fields, Notification)
