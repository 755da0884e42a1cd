"""Talks to the running system of the data folder: sends it commands, waits for what became of them, reads its tables."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal

import psycopg
from psycopg import sql

from agentrooms.cli.console import err, talk
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.postgres import failure
from agentrooms.live.access import LOG, READ, NotRunning, Running, running
from agentrooms.live.commands import Answer, Command
from agentrooms.live.inbox import Inbox
from agentrooms.projections import queries
from agentrooms.projections.catching_up import NotCaughtUp, wait_for
from agentrooms.projections.queries import NotFound
from agentrooms.projections.writing import place
from agentrooms.services.settings import load_settings

if TYPE_CHECKING:
    from agentrooms.events.postgres_log import PostgresLog
    from agentrooms.services.settings import Settings

QUIET_S = 2.0  # a wait that is over before says nothing
LOOK_S = 0.5  # between two looks whether the system still runs, while an answer is awaited
ANSWER_TIMEOUT_S = 120.0
CATCH_UP_S = 10.0  # how long tables may take to hold what is in the log
START_POLL_S = 0.1
SHOWN_MAX = 4  # ids in a message
Kind = Literal["room", "agent", "swarm", "deal"]


class Refused(AgentroomsError):
    """The system refuses a command; nothing has changed."""


class NotAnswered(AgentroomsError):
    """A command has no answer yet."""


class System:
    """The running system, as commands of the command line need it. Any method may raise StoreError."""

    def __init__(self, settings: Settings, found: Running, ends: ExitStack) -> None:
        self.running = found
        self._settings = settings
        self._ends = ends
        self._read: psycopg.Connection | None = None
        self._store: PostgresLog | None = None

    @property
    def read(self) -> psycopg.Connection:
        """A connection to the read models, as `queries` takes it."""
        if self._read is None:
            self._read = self._ends.enter_context(queries.connect(self.running.dsn, READ))
            self._wait_for_tables(self._read)
        return self._read

    @property
    def store(self) -> PostgresLog:
        """The log, for reading."""
        if self._store is None:
            from agentrooms.events.postgres_log import PostgresLog

            self._store = PostgresLog(self.running.dsn, LOG)
            self._ends.callback(self._store.close)
        return self._store

    def ask(self, command: Command) -> Answer:
        """Sends a command and returns its answer, once the tables hold what it did.

        Raises:
            InvalidInput: the command is none that the system understands.
            Refused: the system says why it did not do it.
            NotAnswered: there is no answer after ANSWER_TIMEOUT_S, or the system has ended; the command stays.
        """
        inbox = Inbox(self.running.dsn)
        try:
            inbox.send(command)
            with waiting("waiting for the system's answer; Ctrl-C ends the wait, not the command"):
                answer = self._awaited(inbox, command.id)
        finally:
            inbox.close()
        if answer.why:
            raise Refused(answer.why, hint=answer.hint)
        self.catch_up()
        return answer

    def catch_up(self) -> None:
        """Waits until the tables hold all that is in the log now; says so when they do not come that far."""
        try:
            with waiting("waiting for the tables to follow the log"):
                wait_for(lambda: place(self.read), self.store.head(), CATCH_UP_S)
        except NotCaughtUp as error:
            talk(f"What follows may be old: {error}. See `agentrooms status`.")

    def id_of(self, kind: Kind, text: str) -> str:
        """Returns the id that begins with the text; its kind (`room_`) may be left out.

        Raises NotFound, or InvalidInput when several do.
        """
        head = text if text.startswith(f"{kind}_") else f"{kind}_{text}"
        query = sql.SQL("SELECT {id} FROM {table} WHERE starts_with({id}, %s) ORDER BY {id} LIMIT %s").format(
            id=sql.Identifier(kind), table=sql.Identifier(f"{kind}s")
        )
        found = [str(row[0]) for row in self.read.execute(query, [head, SHOWN_MAX + 1]).fetchall()]
        if not found:
            error = NotFound(kind, repr(text))
            error.hint = f"`agentrooms {kind} list` shows those there are"
            raise error
        if len(found) > 1 and head not in found:
            more = ", …" if len(found) > SHOWN_MAX else ""
            raise InvalidInput(
                f"several {kind}s begin with {text!r}: {', '.join(found[:SHOWN_MAX])}{more}", hint="write more of it"
            )
        return head if head in found else found[0]

    def _awaited(self, inbox: Inbox, id_: str) -> Answer:
        last = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < last:
            sent = inbox.wait(id_, LOOK_S)
            if sent.answer is not None:
                return sent.answer
            self._require_running()
        raise NotAnswered(
            f"no answer in {ANSWER_TIMEOUT_S:g} s; the command stays in the inbox and is carried out when it can be",
            hint="`agentrooms status` shows what the system does",
        )

    def _require_running(self) -> None:
        try:
            running(self._settings)
        except NotRunning as error:
            raise NotAnswered(
                f"{error}: the command stays in the inbox until it does", hint="start it again with `agentrooms up`"
            ) from error

    @staticmethod
    def _wait_for_tables(connection: psycopg.Connection) -> None:
        """Waits for the first start's projector to make the tables."""
        last = time.monotonic() + CATCH_UP_S
        while connection.execute("SELECT to_regclass('cursor')").fetchone() == (None,):
            if time.monotonic() > last:
                raise NotCaughtUp("there are no read models yet", hint="`agentrooms status` shows what the system does")
            time.sleep(START_POLL_S)


@contextmanager
def asking() -> Iterator[System]:
    """Gives the running system, and says which one it is. Raises NotRunning, StoreError."""
    settings = load_settings()
    found = running(settings)
    talk(f"Asking the system running in {settings.agentrooms_data}.")
    with ExitStack() as ends:
        try:
            yield System(settings, found, ends)
        except psycopg.Error as error:
            raise failure("does not answer", error) from error


def new_id() -> str:
    """Returns an id for a command."""
    return f"cli:{secrets.token_hex(8)}"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Says what is waited for when it takes longer than QUIET_S."""
    import threading

    over = threading.Event()
    status = err().status(what) if err().is_terminal else None

    def say() -> None:
        if over.wait(QUIET_S):
            return
        if status is None:
            talk(f"{what[:1].upper()}{what[1:]}.")
        else:
            status.start()

    speaker = threading.Thread(target=say, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()
        if status is not None:
            status.stop()
