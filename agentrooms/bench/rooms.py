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
from agentrooms.chain.spec import ChainSpec
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
        self._round = 0

    def chat(self, seconds: float, every_s: float) -> int:
        """Speaks a round every so often, 0 for as soon as the last is durable; returns how many messages that was.

        Each message says in its text when it was due (ns, monotonic), so one that had to wait is older.
        """
        begun, said = time.monotonic(), 0
        while (now := time.monotonic()) < begun + seconds:
            due = begun + self._rounds_of(said) * every_s if every_s else now
            if due > now:
                time.sleep(due - now)
            self._round += 1
            acts = [Entry(_act(agent, self._round, int(due * 1e9))) for agent in range(ACTS)]
            cmd = f"round:{self._journal.chain}:{self._round}"
            assert not isinstance(self._journal.append(acts, at_ms=self._round, cmd=cmd), Conflict)
            said += len(acts)
        return said

    @staticmethod
    def _rounds_of(said: int) -> int:
        return said // ACTS


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
    """Measures rooms that speak as fast as the log takes it, and at the aimed rate. Ray must have been started here."""
    seconds = SECONDS / (5 if quick else 1)
    return [_measured(dsn, rooms, rate, seconds, say) for rooms in ROOMS for rate in (None, AIM)]


def _measured(dsn: str, rooms: int, rate: int | None, seconds: float, say: Progress) -> Row:
    pace = "as fast as they go" if rate is None else f"{rate:,} a second"
    name = f"durable messages, {rooms} room{'s' if rooms > 1 else ''}, {pace}"
    say(name)
    schema = scope = new_schema()
    migrate_log(dsn, schema)
    try:
        create_services(scope, LogSpec(dsn, schema), ChainSpec())
        listener = create(Listener, scope, "listener", dsn, schema, max_concurrency=2)
        chatters = [create(Chatter, scope, f"chatter:{n}", scope, f"room_{n}") for n in range(rooms)]
        every_s = 0.0 if rate is None else rooms * ACTS / rate
        ray.get([chatter.chat.remote(0.1, every_s) for chatter in chatters])  # all processes are there, and warm
        ages_ref = listener.listen.remote()
        begun = time.monotonic()
        said = sum(ray.get([chatter.chat.remote(seconds, every_s) for chatter in chatters]))
        took = time.monotonic() - begun
        ray.get(listener.finish.remote())
        ages: list[float] = ray.get(ages_ref)
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
