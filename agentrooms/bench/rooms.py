"""Measures chat messages from an act in a room to another process that can read it, durable in between."""

from __future__ import annotations

import threading
import time

import ray
from psycopg import sql

from agentrooms.actors.cells import create
from agentrooms.actors.remote import RemoteStore, end
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.bench.rows import Progress, Row, row, with_times
from agentrooms.bench.schemas import drop_schema, new_schema
from agentrooms.domain.room import ActPosted
from agentrooms.domain.terms import ActKind, Mood
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.postgres import channel, connect, migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.record import decode_line
from agentrooms.events.store import Conflict

ROOMS = (1, 10)
ACTS = 20  # of one round: as many agents speak
SECONDS = 5.0
AIM = 3_000
PAGE = 2_000


class Chatter:
    """A room's process that does nothing but speak: round after round of acts, each appended before the next."""

    def __init__(self, scope: str, room: str) -> None:
        self._journal = Journal(RemoteStore(scope), room)

    def chat(self, seconds: float) -> int:
        """Returns how many messages were appended. Each says in its text when it was made (ns, monotonic)."""
        until, said, round_ = time.monotonic() + seconds, 0, 0
        while time.monotonic() < until:
            round_ += 1
            acts = [Entry(_act(agent, round_, time.monotonic_ns())) for agent in range(ACTS)]
            outcome = self._journal.append(acts, at_ms=round_, cmd=f"round:{self._journal.chain}:{round_}")
            assert not isinstance(outcome, Conflict)
            said += len(acts)
        return said


class Listener:
    """Another process: reads the log as it grows, and notes how old each message is when it can be read."""

    def __init__(self, dsn: str, schema: str) -> None:
        self._dsn, self._schema = dsn, schema
        self._stop = threading.Event()
        self._ages_s: list[float] = []

    def listen(self, expected: int | None = None) -> list[float]:
        """Returns the ages, in seconds, once `finish` was called and all that was appended has been read."""
        log = PostgresLog(self._dsn, self._schema)
        position = 0
        with connect(self._dsn, self._schema) as waking:
            waking.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel(self._schema))))
            while True:
                found = log.read(after=position, limit=PAGE)
                now = time.monotonic_ns()
                for positioned in found:
                    event = decode_line(positioned.event.data).event
                    assert isinstance(event, ActPosted)
                    self._ages_s.append((now - int(event.text)) / 1e9)
                    position = positioned.position
                if not found:
                    if self._stop.is_set():
                        break
                    for _news in waking.notifies(timeout=0.05, stop_after=1):
                        pass
        log.close()
        return self._ages_s

    def finish(self) -> None:
        """Ends listening once nothing new is there."""
        self._stop.set()


def run_rooms(dsn: str, *, quick: bool, say: Progress) -> list[Row]:
    """Measures rooms that speak as fast as the log takes it. Ray must have been started on this machine."""
    return [_measured(dsn, rooms, SECONDS / (5 if quick else 1), say) for rooms in ROOMS]


def _measured(dsn: str, rooms: int, seconds: float, say: Progress) -> Row:
    say(f"messages of {rooms} rooms at a time")
    schema = scope = new_schema()
    migrate_log(dsn, schema)
    try:
        create_services(scope, LogSpec(dsn, schema))
        listener = create(Listener, scope, "listener", dsn, schema, max_concurrency=2)
        chatters = [create(Chatter, scope, f"chatter:{n}", scope, f"room_{n}") for n in range(rooms)]
        ray.get([chatter.chat.remote(0.05) for chatter in chatters])  # all processes are there, and warm
        ages_ref = listener.listen.remote()
        begun = time.monotonic()
        said = sum(ray.get([chatter.chat.remote(seconds) for chatter in chatters]))
        took = time.monotonic() - begun
        ray.get(listener.finish.remote())
        ages: list[float] = ray.get(ages_ref)
        name = f"durable messages of {rooms} room{'s' if rooms > 1 else ''}, from act to another process"
        return with_times(row(name, "messages", said, took, aim=AIM), ages[-said:])
    finally:
        end(scope)
        drop_schema(dsn, schema)


def _act(agent: int, round_: int, at_ns: int) -> ActPosted:
    return ActPosted(
        act=ActKind.COMMENT,
        agent=f"agent_{agent}",
        mood=Mood.CALM,
        price_usdc_micros=None,
        quote=None,
        refers_to=None,
        round=round_,
        text=str(at_ns),
        to=None,
        token_id=None,
        wording="bench",
    )
