"""Being woken by Postgres: a connection that listens on one channel."""

from __future__ import annotations

import psycopg
from psycopg import sql

from agentrooms.events.postgres import Connection, connect, failure


class Listener:
    """Waits for notifications on a channel. For one thread."""

    def __init__(self, dsn: str, schema: str, channel: str) -> None:
        self._dsn, self._schema, self._channel = dsn, schema, channel
        self._connection: Connection | None = None

    def wait(self, timeout_s: float) -> bool:
        """Waits for a notification, at most `timeout_s`; returns whether there was one since the last call.

        Before the first call nothing listens. Raises StoreError when the connection is lost; the next call makes another.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._dsn, self._schema)
                self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            return bool(list(self._connection.notifies(timeout=timeout_s, stop_after=1)))
        except psycopg.Error as error:
            self.close()
            raise failure(f"was lost while waiting on {self._channel}", error) from error

    def close(self) -> None:
        """Listens no longer."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
