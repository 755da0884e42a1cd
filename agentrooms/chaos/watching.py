"""A living system with two API processes, watched by clients of all kinds while its swarms trade and faults strike."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import msgspec

from agentrooms.actors.cells import create
from agentrooms.actors.remote import end
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chaos import oracle
from agentrooms.chaos.api_processes import api_processes, signed_in
from agentrooms.chaos.crowd import Crowd
from agentrooms.chaos.ground import Ground, ground
from agentrooms.chaos.seed import Stalled, await_, describe
from agentrooms.chaos.seen import check_seen, check_snapshots, check_words, frames_of
from agentrooms.chaos.socket_faults import SocketFaults
from agentrooms.chaos.socket_plan import SocketPlan, draw_socket_plan
from agentrooms.domain.keys import derive_key
from agentrooms.domain.swarm import SwarmCompleted
from agentrooms.events.journal import fence
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.record import Recorded
from agentrooms.events.store import QueryItem, StoreError
from agentrooms.live.access import LOG, Running
from agentrooms.live.cells import DESK, DeskCell, LivePlan
from agentrooms.live.chain import chain_of
from agentrooms.live.commands import CloseRoom, Command, OpenRoom, RunSwarm, StopSwarm
from agentrooms.live.inbox import Inbox, State, migrate_inbox
from agentrooms.live.wallets import SECRET_BYTES, made_id, room_key
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings

CLIENTS = 27
PEOPLE = 3
ROOMS = 2
ROUND_MS = 50  # the quickest that a live room can be
QUOTE_ROUNDS = 30
SPEEDS = (0, 10, 10)  # of swarms, by turns; 0 is as fast as the machine goes
HOSTS = 2  # that a swarm's agents share
SEND_S = 0.2  # between two attempts to send a command


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed. `frames` are those that clients have in the end; `ends` is how their connections ended."""

    plan: SocketPlan
    clients: int
    events: int
    frames: int
    frames_lost: int
    struck: dict[str, int]
    missed: dict[str, int]
    ends: dict[str, int]
    said: int
    seconds: float
    wrong: tuple[str, ...]


class WatchedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What all seeds came to. `failed` are those with which something is wrong."""

    seeds: int
    clients: int
    events: int
    frames: int
    frames_lost: int
    struck: dict[str, int]
    missed: int
    ends: dict[str, int]
    said: int
    seconds: float
    failed: tuple[Watched, ...]


def watch_seeds(seeds: Iterable[int], tell: Callable[[Watched], None]) -> WatchedSummary:
    """Runs seeds on services of its own; tells each outcome. For the main thread."""
    folder = Path(tempfile.mkdtemp(prefix="agentrooms-chaos-"))
    done = []
    try:
        with ground(folder) as services:
            for seed in seeds:
                done.append(watch_seed(draw_socket_plan(seed), services, folder / f"seed-{seed}"))
                tell(done[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return summarise(done)


def summarise(done: Iterable[Watched]) -> WatchedSummary:
    """Returns the sums over all seeds."""
    all_ = list(done)
    return WatchedSummary(
        seeds=len(all_),
        clients=sum(one.clients for one in all_),
        events=sum(one.events for one in all_),
        frames=sum(one.frames for one in all_),
        frames_lost=sum(one.frames_lost for one in all_),
        struck=_total(one.struck for one in all_),
        missed=sum(sum(one.missed.values()) for one in all_),
        ends=_total(one.ends for one in all_),
        said=sum(one.said for one in all_),
        seconds=sum(one.seconds for one in all_),
        failed=tuple(one for one in all_ if one.wrong),
    )


def _total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def watch_seed(plan: SocketPlan, services: Ground, folder: Path, clients: int = CLIENTS) -> Watched:
    """Runs and checks one seed on services that are there; `folder` becomes its data folder."""
    begun = time.monotonic()
    with ExitStack() as ends:
        system = _System(plan, services, folder, ends)
        wrong = system.live_through(clients)
        wrong += system.check()
        crowd, faults = system.crowd, system.faults
    return Watched(
        plan=plan,
        clients=len(crowd.watchers),
        events=system.position(),
        frames=sum(len(seen.frames) for seen in crowd.seen),
        frames_lost=sum(relay.frames_lost for relay in crowd.losing),
        struck=dict(faults.done),
        missed=dict(faults.missed),
        ends=dict(sorted(crowd.ends().items())),
        said=sum(len(seen.acked) for seen in crowd.seen),
        seconds=time.monotonic() - begun,
        wrong=tuple(wrong),
    )


class _System:
    """One living system on the ledger, its API processes, and who watches."""

    def __init__(self, plan: SocketPlan, services: Ground, folder: Path, ends: ExitStack) -> None:
        self.scope = f"chaos-{secrets.token_hex(6)}"
        self._plan = plan
        self._services = services
        self._ends = ends
        self._secret = hashlib.blake2b(f"chaos/sockets/{plan.seed}".encode(), digest_size=SECRET_BYTES).digest()
        self._dsn = dsn = ends.enter_context(services.database())
        migrate_log(dsn, LOG)
        migrate_inbox(dsn)
        self._folder = ends.enter_context(DataFolder(folder).own("agentrooms chaos"))
        self._folder.put_secret(self._secret)
        chain = ends.enter_context(chain_of(Settings(chain_mode="ledger"), self._folder))
        self._live = LivePlan(self.scope, LogSpec(dsn, LOG, services.redis_url), chain, self._secret, HOSTS)
        self._log = ends.enter_context(closing(PostgresLog(dsn, LOG)))
        self._inbox = ends.enter_context(closing(Inbox(dsn)))
        self._rooms = [made_id(self._secret, "room", f"open-{n}") for n in range(ROOMS)]
        self._swarms: dict[str, str] = {}  # the last one of each room
        self._sent: list[str] = []  # commands
        self._run = 0  # swarms so far
        self._head = 0
        self.crowd: Crowd
        self.faults: SocketFaults

    # --- Life ---------------------------------------------------------------------------------------------------

    def live_through(self, clients: int) -> list[str]:
        """Lives to a good end; returns what prevents it."""
        try:
            self._start(clients)
            for fault in self._plan.faults:
                due = self.position() + fault.after_events
                self._await(f"the log has {due} events", partial(self._reaches, due))
                self.faults.strike(fault)
            self._await("all is said", self.crowd.has_said_all)
            for n, swarm in enumerate(self._swarms.values()):
                self._send(StopSwarm(id=f"stop-{n}", swarm=swarm))
            self._await("the swarms are over", lambda: self._over() >= set(self._swarms.values()))
            for room in self._rooms:
                self._send(CloseRoom(id=f"close-{room}", room=room))
            self._await("every room is closed", lambda: len(self._of_types("room.closed")) == ROOMS)
            heads = {room: len(self._events(room)) for room in self._rooms}
            self._await("every client has all", partial(self.crowd.has_all, heads))
            self._await("the tables are up", lambda: oracle.projected(self._dsn) == self.position())
        except Stalled as stalled:
            behind = ", ".join(f"{seen.who} at {seen.last}" for seen in self.crowd.seen)
            open_ = [id_ for id_ in self._sent if self._inbox.get(id_).state is State.OPEN]
            return [f"{stalled}; without an answer: {open_}; {behind}; {describe(self.scope)}"]
        return []

    def _start(self, clients: int) -> None:
        self._ends.callback(end, self.scope)
        create_services(self.scope, self._live.spec, self._live.chain)
        create(DeskCell, self.scope, DESK, self._live, head=True)
        running = Running(os.getpid(), self._dsn, self._services.redis_url, "", str(self._folder.path))
        processes = self._ends.enter_context(api_processes(running))
        for n in range(ROOMS):
            self._send(OpenRoom(id=f"open-{n}", name=f"Room {n}", round_ms=ROUND_MS, quote_rounds=QUOTE_ROUNDS))
        people = [signed_in(processes.urls[0], self._secret, n) for n in range(PEOPLE)]
        self.crowd = Crowd(processes.ports, self._rooms, people, self._plan.seed, clients)
        self.faults = SocketFaults(self._services, self.scope, self._live.spec, self.crowd, processes)
        self._ends.callback(self.crowd.close)
        self._await("the rooms are open", lambda: len(self._of_types("room.opened")) == ROOMS)
        self.crowd.start()
        self._trade()

    def _trade(self) -> None:
        """Sees to it that a swarm trades in each room."""
        over = self._over()
        for room in self._rooms:
            if self._swarms.get(room) in {None, *over}:
                id_, plan = f"swarm-{self._run}", self._plan
                seed = plan.seed * 1_000 + self._run
                speed = SPEEDS[self._run % len(SPEEDS)]
                self._send(
                    RunSwarm(id=id_, room=room, buyers=plan.buyers, sellers=plan.sellers, seed=seed, speed=speed)
                )
                self._swarms[room] = made_id(self._secret, "swarm", id_)
                self._run += 1

    def _reaches(self, events: int) -> bool:
        self._trade()
        return self.position() >= events

    def _send(self, command: Command) -> None:
        """Sends a command until the inbox has it."""
        while True:
            try:
                self._inbox.send(command)
                self._sent.append(command.id)
                break
            except StoreError:
                time.sleep(SEND_S)

    def _await(self, what: str, holds: Callable[[], bool]) -> None:
        await_(self._services, what, holds, self._moves)

    def _moves(self) -> object:
        seen = sum(seen.last or 0 for seen in self.crowd.seen) if hasattr(self, "crowd") else 0
        return self.position(), seen

    def position(self) -> int:
        """Returns how far the log is, as last seen."""
        with suppress(StoreError):
            self._head = self._log.head()
        return self._head

    def _over(self) -> set[str]:
        return {one.event.swarm for one in self._of_types("swarm.completed") if isinstance(one.event, SwarmCompleted)}

    def _of_types(self, *types: str) -> list[Recorded]:
        with suppress(StoreError):
            return oracle.recorded(self._log.read((QueryItem(types=types),)))
        return []

    def _events(self, room: str) -> list[Recorded]:
        return oracle.recorded(self._log.read(fence(room)))

    # --- What must hold in the end --------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Returns what is wrong with what clients have seen, and with the log."""
        wrong: list[str] = []
        for room in self._rooms:
            events = self._events(room)
            frames = frames_of(events)
            watching = [seen for seen in self.crowd.seen if seen.room == room]
            for seen in watching:
                wrong += check_seen(seen, frames) + check_snapshots(seen, events, frames)
            wrong += check_words([(self.crowd.wallets[s.who], s.acked) for s in watching if s.acked], events)
        return wrong + self._check_log()

    def _check_log(self) -> list[str]:
        stored = self._log.read()
        events = oracle.recorded(stored)
        with (
            closing(PostgresVault(self._dsn, LOG)) as vault,
            closing(PostgresVault(self._dsn, LOG, table="memory")) as memory,
        ):
            wrong = oracle.check_log(stored) + oracle.check_ledger(memory, events) + oracle.check_votes(memory, events)
            key = derive_key(self._secret, "installation", "archives")
            wrong += oracle.check_archives(self._log, vault, key, partial(room_key, self._secret), self._rooms)
        return wrong + oracle.check_tables(self._dsn, LOG)
