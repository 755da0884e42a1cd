"""The inbox: commands of people on their way to the desk, and its answers; in Postgres, so that none is lost.

What is sent twice under one id is one command. The desk answers each exactly once; who waits for an answer
is woken by NOTIFY, and looks for itself now and then.
"""

from __future__ import annotations

import hashlib
import time
from enum import StrEnum

import msgspec
import psycopg
from psycopg import sql

from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.postgres import Connection, Connections, connect, failure
from agentrooms.events.waking import Listener
from agentrooms.live import commands
from agentrooms.live.commands import Answer, Command
from agentrooms.services import migrations

SCHEMA = "live"
OPEN_MAX = 1_000  # commands without an answer
KEPT_MAX = 10_000  # answered ones; older ones are forgotten
PRUNE_EVERY = 100  # answers
POLL_S = 1.0  # how long a lost NOTIFY can delay an answer
_LOCK_KEY = 0x494E424F  # with the schema's name: one sends at a time, so numbers are committed in their order


class State(StrEnum):
    """Where a command stands."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"


class Sent(msgspec.Struct, frozen=True):
    """A command in the inbox. `body` is empty once it is answered: it may have held a limit."""

    number: int
    id: str
    body: bytes
    state: State
    answer: Answer | None


class InboxFull(AgentroomsError):
    """Too many commands wait for the desk."""


class NotSent(AgentroomsError):
    """The inbox has no command of this id."""


def migrate_inbox(dsn: str, schema: str = SCHEMA) -> list[int]:
    """Brings the inbox's schema to this program's version. Raises MigrationRefused."""
    return migrations.migrate(dsn, schema, migrations.load("agentrooms.live"))


def sent_channel(schema: str = SCHEMA) -> str:
    """Returns the NOTIFY channel on which each new command is announced."""
    return f"agentrooms_{schema}_sent"


def answer_channel(schema: str = SCHEMA) -> str:
    """Returns the NOTIFY channel of answers; each says the command's id."""
    return f"agentrooms_{schema}_answers"


class Inbox:
    """Commands by number and id. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(self, dsn: str, schema: str = SCHEMA, patience_s: float | None = None) -> None:
        """`patience_s` is that of Connections."""
        self._dsn, self._schema = dsn, schema
        self._connections = Connections(dsn, schema, patience_s)
        self._listener = Listener(dsn, schema, sent_channel(schema))  # of the desk

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()
        self._listener.close()

    def send(self, command: Command) -> Sent:
        """Puts a command in; the same again returns the same.

        Raises:
            InvalidInput: it is not one the system understands, or another has its id.
            InboxFull: OPEN_MAX wait already.
        """
        body = commands.encode(command)
        digest = hashlib.sha256(body).hexdigest()

        def put(connection: Connection) -> Sent:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_KEY, self._schema])
                known = _one(connection, command.id)
                if known is None:
                    _require_room(connection)
                    connection.execute(
                        "INSERT INTO commands (id, body, body_sha256) VALUES (%s, %s, %s)", [command.id, body, digest]
                    )
                    connection.execute("SELECT pg_notify(%s, '')", [sent_channel(self._schema)])
                    known = _one(connection, command.id)
                    assert known is not None
                sent, kept = known
                if kept != digest:
                    raise InvalidInput(
                        f"another command has the id {command.id}", hint="give this one an id of its own"
                    )
                return sent

        return self._connections.repeat(put)

    def open(self, after: int = 0, limit: int = 100) -> list[Sent]:
        """Returns commands without an answer whose number is above `after`, in the order in which they were sent."""

        def read(connection: Connection) -> list[Sent]:
            rows = connection.execute(
                f"{_SELECT} WHERE state = 'open' AND number > %s ORDER BY number LIMIT %s".encode(), [after, limit]
            )
            return [_sent(row)[0] for row in rows.fetchall()]

        return self._connections.repeat(read)

    def await_new(self, timeout_s: float) -> bool:
        """Waits until a command is sent, for `timeout_s` at most; returns whether one was. For one thread: the desk's.

        What was sent since the last call counts; before the first call nothing was listening.
        """
        return self._listener.wait(timeout_s)

    def answer(self, id_: str, state: State, answer: Answer) -> Sent:
        """Answers a command, once; returns it with the answer it has, the first one. Raises NotSent."""
        assert state is not State.OPEN
        data = commands.encode_answer(answer)

        def put(connection: Connection) -> Sent:
            with connection.transaction():
                updated = connection.execute(
                    "UPDATE commands SET state = %s, answer = %s, answered_at = now(), body = NULL"
                    " WHERE id = %s AND state = 'open' RETURNING number",
                    [state.value, data, id_],
                ).fetchone()
                if updated is not None:
                    connection.execute("SELECT pg_notify(%s, %s)", [answer_channel(self._schema), id_])
                    if _int(updated[0]) % PRUNE_EVERY == 0:
                        _prune(connection)
                return _known(connection, id_)

        return self._connections.repeat(put)

    def get(self, id_: str) -> Sent:
        """Returns a command as it stands. Raises NotSent for one that was never sent, or answered long ago."""
        return self._connections.repeat(lambda connection: _known(connection, id_))

    def wait(self, id_: str, timeout_s: float) -> Sent:
        """Returns a command as soon as it is answered, or as it stands after `timeout_s`. Raises NotSent."""
        deadline = time.monotonic() + timeout_s
        try:
            with connect(self._dsn, self._schema) as connection:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(answer_channel(self._schema))))
                while True:
                    sent = _known(connection, id_)
                    left_s = deadline - time.monotonic()
                    if sent.state is not State.OPEN or left_s <= 0:
                        return sent
                    for _answered in connection.notifies(timeout=min(left_s, POLL_S), stop_after=1):
                        pass
        except psycopg.Error as error:
            raise failure("was lost while waiting for an answer", error) from error


_SELECT = "SELECT number, id, body, state, answer, body_sha256 FROM commands"


def _one(connection: Connection, id_: str) -> tuple[Sent, str] | None:
    """Returns a command and its body's hash."""
    row = connection.execute(f"{_SELECT} WHERE id = %s".encode(), [id_]).fetchone()
    return None if row is None else _sent(row)


def _known(connection: Connection, id_: str) -> Sent:
    found = _one(connection, id_)
    if found is None:
        raise NotSent(f"the inbox has no command {id_[: commands.ID_CHARACTERS_MAX]!a}", hint="send it again")
    return found[0]


def _sent(row: tuple[object, ...]) -> tuple[Sent, str]:
    number, id_, body, state, answer, digest = row
    assert isinstance(id_, str)
    assert isinstance(state, str)
    assert isinstance(digest, str)
    answered = commands.decode_answer(answer) if isinstance(answer, bytes) else None
    return Sent(_int(number), id_, body if isinstance(body, bytes) else b"", State(state), answered), digest


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _require_room(connection: Connection) -> None:
    row = connection.execute("SELECT count(*) FROM commands WHERE state = 'open'").fetchone()
    if row is not None and _int(row[0]) >= OPEN_MAX:
        raise InboxFull(
            f"{OPEN_MAX} commands wait for the desk", hint="wait until it has answered some; is it running?"
        )


def _prune(connection: Connection) -> None:
    """Forgets answered commands beyond the KEPT_MAX youngest."""
    connection.execute(
        "DELETE FROM commands WHERE state <> 'open' AND number <= ("
        "  SELECT number FROM commands WHERE state <> 'open' ORDER BY number DESC OFFSET %s LIMIT 1)",
        [KEPT_MAX],
    )
