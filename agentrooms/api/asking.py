"""Asking the running system: a command goes into the inbox, its answer comes back, the tables hold what it did."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from agentrooms.api import logs
from agentrooms.api.metrics import counting
from agentrooms.api.problems import Problem
from agentrooms.api.reading import Reads
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import connect
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import StoreError
from agentrooms.live.commands import Answer, Command
from agentrooms.live.inbox import Inbox, InboxFull, Sent, answer_channel

ANSWER_S = 30.0  # how long a request waits for an answer
LOOK_S = 1.0  # between two looks, when a notification was lost
ASKS_MAX = 24  # commands of one process that are not answered yet: of its 40 threads the rest are for reading
RECONNECT_S = 0.5


class Answers:
    """Wakes whoever waits for an answer: one connection listens for all of a process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiting: dict[str, list[threading.Event]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="answers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends listening."""
        self._stop.set()
        self._thread.join(2 * LOOK_S)

    def wait(self, id_: str, look: Callable[[], Sent], timeout_s: float) -> Sent:
        """Returns a command as soon as it is answered, or as it stands after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        event = threading.Event()
        with self._lock:
            self._waiting.setdefault(id_, []).append(event)
        try:
            while True:
                event.clear()
                sent = look()
                left_s = deadline - time.monotonic()
                if sent.answer is not None or left_s <= 0:
                    return sent
                event.wait(min(LOOK_S, left_s))
        finally:
            with self._lock:
                self._waiting[id_].remove(event)
                if not self._waiting[id_]:
                    del self._waiting[id_]

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with connect(self._dsn, "live") as connection:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(answer_channel())))
                    while not self._stop.is_set():
                        for notified in connection.notifies(timeout=LOOK_S, stop_after=1):
                            self._wake(notified.payload)
            except psycopg.Error:
                self._stop.wait(RECONNECT_S)  # who waits looks for itself meanwhile

    def _wake(self, id_: str) -> None:
        with self._lock:
            for event in self._waiting.get(id_, ()):
                event.set()


class Asking:
    """The way of one process to the system."""

    def __init__(self, inbox: Inbox, answers: Answers, store: PostgresLog, reads: Reads) -> None:
        self._inbox = inbox
        self._answers = answers
        self._store = store
        self._reads = reads
        self._free = threading.BoundedSemaphore(ASKS_MAX)

    def ask(self, command: Command) -> Answer:
        """Returns a command's answer once the tables hold what it did.

        Raises Problem: 409 when the system refuses, 422 when it is none that it understands, 503 without an answer.
        """
        with counting(str(command.__struct_config__.tag)):
            if not self._free.acquire(blocking=False):
                raise Problem(503, f"{ASKS_MAX} commands wait for their answers", hint="try again in a moment")
            try:
                return self._ask(command)
            finally:
                self._free.release()

    def _ask(self, command: Command) -> Answer:
        try:
            self._inbox.send(command)
            sent = self._answers.wait(command.id, lambda: self._inbox.get(command.id), ANSWER_S)
        except InvalidInput as error:
            raise Problem(422, str(error), hint=error.hint) from error
        except (InboxFull, StoreError) as error:
            raise Problem(503, "the system takes no commands now", hint="try again in a moment") from error
        if sent.answer is None:
            raise Problem(
                503,
                f"no answer in {ANSWER_S:g} s; it is carried out when it can be",
                hint="send it again with its Idempotency-Key; without one, look first",
            )
        if sent.answer.why:
            raise Problem(409, sent.answer.why, hint=sent.answer.hint)
        self.catch_up()
        return sent.answer

    def catch_up(self) -> None:
        """Waits until the tables hold all that is in the log now. Raises Problem."""
        try:
            head = self._store.head()
        except StoreError as error:
            raise Problem(503, "the log cannot be reached", hint="try again in a moment") from error
        logs.note(position=head)
        self._reads.wait_for(head)


def command_id(user: str, key: str | None) -> str:
    """Returns the id of a person's command: of one with an idempotency key always the same."""
    if key is None:
        return f"api:{secrets.token_hex(16)}"
    return f"api:{hashlib.sha256(f'{user} {key}'.encode()).hexdigest()[:40]}"
