"""Carries out the strikes of a plan on a scope, and mends what does not mend itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql

from agentrooms.actors.cells import create
from agentrooms.actors.remote import end
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chain.spec import ChainSpec
from agentrooms.chaos.ground import Ground
from agentrooms.chaos.plan import CLOCK, END, JUMPS_S, KILL, POINT, RESTART, SECOND, SLOW, Group, Plan, Strike
from agentrooms.chaos.processes import arm, end_actor, living, send_signal, shift_clock
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import StoreError
from agentrooms.live.access import READ
from agentrooms.live.cells import PROJECTOR, ProjectorCell
from agentrooms.services.postgres import Postgres

POLL_S = 0.01
FIND_S = 3.0  # how long a victim that is not there just now is waited for
TEND_S = 0.2
FULL_TABLES = ("events", "vault", "memory")
_FULL = """
    CREATE OR REPLACE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE OR REPLACE TRIGGER full_disk BEFORE INSERT ON {schema}.{table} EXECUTE FUNCTION {schema}.full_disk()"""
_ROOM = "DROP TRIGGER IF EXISTS full_disk ON {schema}.{table}"

Mend = Callable[[], None]


@dataclass(frozen=True)
class Target:
    """What is struck. `start` makes the actors that a scope has from its beginning; `second_room` another room actor."""

    ground: Ground
    scope: str
    spec: LogSpec
    start: Callable[[], None]
    second_room: Callable[[], bool]

    @property
    def dsn(self) -> str:
        """Where the log is."""
        assert self.spec.dsn is not None
        return self.spec.dsn


class Strikes:
    """The strikes of one plan; `run` in a thread of its own. It strikes until `over` is set, and returns at `end`."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self.done: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.over = threading.Event()
        self.finished = threading.Event()  # nothing more will be struck
        self.end = threading.Event()
        self.error: BaseException | None = None
        self._plan = plan
        self._target = target
        self._log_fenced = False  # by us; then it ends for good as soon as it notices

    def run(self) -> None:
        """Strikes when the log has come so far; a group whose moment never comes is missed."""
        try:
            for group in self._plan.groups:
                if self._await(group.after_events) and not self.over.wait(group.later_ms / 1_000):
                    self._strike(group)
                else:
                    self.missed.update(_name(strike) for strike in group.strikes)
        except Exception as error:  # noqa: BLE001 - it is reported with the seed
            self.error = error
        self.finished.set()
        while not self.end.wait(TEND_S):
            self._tend()

    def _await(self, events: int) -> bool:
        """Waits until the log has so many events; False when the seed is over before."""
        tended_s = 0.0
        with closing(PostgresLog(self._target.dsn, self._target.spec.schema)) as log:
            while not self.over.is_set():
                with suppress(StoreError):
                    if log.head() >= events:
                        return True
                if time.monotonic() - tended_s > TEND_S:
                    tended_s = time.monotonic()
                    self._tend()
                self.over.wait(POLL_S)
        return False

    def _tend(self) -> None:
        """Starts the log anew when it has ended because another took it over: who starts a system does that."""
        if self._log_fenced:
            create_services(self._target.scope, self._target.spec, ChainSpec())

    def _strike(self, group: Group) -> None:
        with ExitStack() as mends:  # the last first: the disk of a server that is down cannot be mended
            for strike in group.strikes:
                mend = self._one(strike)
                (self.done if mend is not None else self.missed)[_name(strike)] += 1
                if mend is not None:
                    mends.callback(mend)
            self.over.wait(group.lasts_ms / 1_000)

    def _one(self, strike: Strike) -> Mend | None:
        """Strikes; returns what mends it, or None when there was no victim."""
        target = self._target
        ground = target.ground
        match strike.victim, strike.how:
            case "postgres", _:
                return strike_postgres(ground.postgres, strike.how)
            case "redis", _:
                return _strike_redis(ground, strike.how)
            case "node", _:
                return ground.want_node if ground.kill_node() else None
            case "disk", _:
                return fill_disk(target.dsn, target.spec.schema, FULL_TABLES[strike.which % len(FULL_TABLES)])
            case "system", _:
                end(target.scope)
                return target.start
            case _, how if how == SECOND:
                return self._second(strike.victim)
        return self._actor(strike)

    def _actor(self, strike: Strike) -> Mend | None:
        deadline = time.monotonic() + FIND_S
        while not (found := living(self._target.scope, strike.victim)):
            if time.monotonic() > deadline or self.over.wait(POLL_S):
                return None
        name, pid = found[strike.which % len(found)]
        match strike.how:
            case how if how == KILL:
                struck = send_signal(pid, signal.SIGKILL)
            case how if how == END:
                struck = end_actor(name)
            case how if how == SLOW:
                struck = send_signal(pid, signal.SIGSTOP)
                return partial(_go_on, pid) if struck else None
            case how if how == CLOCK:
                struck = shift_clock(name, JUMPS_S[strike.which % len(JUMPS_S)])
            case _:
                struck = arm(name, strike.point, strike.passage)
        return _nothing if struck else None

    def _second(self, victim: str) -> Mend | None:
        target = self._target
        if victim == "room":
            return _nothing if target.second_room() else None
        if victim == "projector":
            second = f"second-{PROJECTOR}"
            create(ProjectorCell, target.scope, second, target.spec, READ, head=True)
            return _nothing
        return self._second_log()

    def _second_log(self) -> Mend | None:
        """Takes the log over, as a second system would."""
        try:
            LogWriter(self._target.dsn, self._target.spec.schema).close()
        except StoreError:
            return None  # Postgres is down, too
        self._log_fenced = True
        return _nothing


def strike_postgres(server: Postgres, how: str) -> Mend | None:
    """Kills or stops a server; returns what starts it again, None when it does not run."""
    pid = server.pid
    if how == RESTART:
        server.stop()
    elif pid is None or not send_signal(pid, signal.SIGKILL):
        return None
    return lambda: _ignore(server.start())


def _strike_redis(ground: Ground, how: str) -> Mend | None:
    pid = ground.redis.pid
    if pid is None:
        return None
    if how == SLOW:
        os.kill(pid, signal.SIGSTOP)
        return partial(_go_on, pid)
    os.kill(pid, signal.SIGKILL)
    return lambda: _ignore(ground.redis.start())


def fill_disk(dsn: str, schema: str, table: str) -> Mend | None:
    """Lets a table of a log refuse rows as with a full disk; returns what makes room, None when Postgres is down."""
    names = {"schema": sql.Identifier(schema), "table": sql.Identifier(table)}
    try:
        _execute(dsn, sql.SQL(_FULL).format(**names))
    except psycopg.OperationalError:
        return None
    return lambda: _make_room(dsn, sql.SQL(_ROOM).format(**names))


def _make_room(dsn: str, statement: sql.Composed) -> None:
    while True:
        try:
            return _execute(dsn, statement)
        except psycopg.OperationalError:  # Postgres is just restarting
            time.sleep(POLL_S)


def _execute(dsn: str, statement: sql.Composed) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def _go_on(pid: int) -> None:
    send_signal(pid, signal.SIGCONT)


def _nothing() -> None:
    pass


def _ignore(_value: object) -> None:
    pass


def _name(strike: Strike) -> str:
    return f"{strike.victim}.{strike.how}" if strike.how != POINT else strike.point
