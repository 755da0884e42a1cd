"""A living system under strikes: people ask things of it all the while, and in the end all of it must be in order."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial

import redis

from agentrooms.actors.cells import create
from agentrooms.actors.plans import room_address
from agentrooms.actors.remote import end
from agentrooms.actors.room_cell import Mode, RoomCell
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chain.spec import ChainSpec
from agentrooms.chaos import oracle
from agentrooms.chaos.ground import Ground
from agentrooms.chaos.plan import Plan
from agentrooms.chaos.processes import living, restarts
from agentrooms.chaos.script import write_script
from agentrooms.chaos.seed import Outcome, Stalled, await_, describe, under_fire
from agentrooms.chaos.strikes import Strikes, Target
from agentrooms.domain import verifier_set
from agentrooms.domain.keys import derive_key
from agentrooms.domain.room import RoomClosed
from agentrooms.domain.swarm import SwarmCompleted
from agentrooms.domain.verifier_set import VerifierSet, VerifierSetRegistered
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.record import decode_line
from agentrooms.events.store import QueryItem, StoreError
from agentrooms.events.tags import chain_tag
from agentrooms.live.access import LOG
from agentrooms.live.cells import DESK, DeskCell, LivePlan, room_plan
from agentrooms.live.commands import Command
from agentrooms.live.inbox import Inbox, State, migrate_inbox
from agentrooms.live.wallets import SECRET_BYTES, room_key
from agentrooms.services.redis import client

HOSTS = 2  # that a swarm's agents share, where they do
SEND_S = 0.2  # between two attempts to send a command


def run_seed(plan: Plan, ground: Ground) -> Outcome:
    """Runs and checks one seed."""
    begun = time.monotonic()
    with ground.database() as dsn:
        migrate_log(dsn, LOG)
        migrate_inbox(dsn)
        system = _System(plan, ground, dsn)
        try:
            with under_fire(plan, system.target) as strikes:
                wrong = system.live_through(strikes)
            wrong += [f"a strike failed: {strikes.error!r}"] if strikes.error is not None else []
            wrong += system.check() if not wrong else []
            made_anew = restarts(system.scope)
        finally:
            system.close()
    return Outcome(
        plan=plan,
        struck=dict(strikes.done),
        missed=dict(strikes.missed),
        restarts=made_anew,
        resumed=0,
        events=system.head,
        seconds=time.monotonic() - begun,
        wrong=tuple(wrong),
    )


class _System:
    """One living system, and those who use it."""

    def __init__(self, plan: Plan, ground: Ground, dsn: str) -> None:
        self.scope = f"chaos-{secrets.token_hex(6)}"
        self.head = 0
        self._dsn = dsn
        self._secret = hashlib.blake2b(f"chaos/{plan.seed}".encode(), digest_size=SECRET_BYTES).digest()
        self._script = write_script(plan, self._secret)
        spec = LogSpec(dsn, LOG, ground.redis_url)
        packed = 0 if plan.agents_per_actor == 1 else HOSTS
        self._plan = LivePlan(self.scope, spec, ChainSpec(), self._secret, packed)
        self.target = Target(ground, self.scope, spec, self._start, self._second_room)
        self._redis = client(ground.redis_url)
        self._log = PostgresLog(dsn, LOG)
        self._inbox = Inbox(dsn)
        self._sent: dict[str, Command] = {}
        self._answered: set[str] = set()

    def close(self) -> None:
        """Ends all of it."""
        end(self.scope)
        self._log.close()
        self._inbox.close()
        self._redis.close()

    # --- Life ---------------------------------------------------------------------------------------------

    def live_through(self, strikes: Strikes) -> list[str]:
        """Lives to a good end; returns what prevents it."""
        script = self._script
        try:
            self._start()
            for timed in script.first:
                self._await("the log goes on", partial(self._reaches, timed.after_events))
                self._send(timed.command)
            for command in script.last:
                self._send(command)
            self._await("the swarms are over", self._swarms_are_over)
            strikes.over.set()
            self._await("nothing is struck", strikes.finished.is_set)
            self._await("the statistics are in Redis", self._is_shown)
            self._send(script.close)
            self._await("every command is answered", self._all_answered)
            self._await("every room is closed", self._all_closed)
            self._await("rooms and hosts have no process left", self._is_empty)
            self._await("the tables are up", lambda: oracle.projected(self._dsn) == self._position())
        except Stalled as stalled:
            open_ = sorted(self._sent.keys() - self._answered)
            return [f"{stalled}; without an answer: {open_}; {describe(self.scope)}"]
        return []

    def _start(self) -> None:
        create_services(self.scope, self._plan.spec, self._plan.chain)
        create(DeskCell, self.scope, DESK, self._plan, head=True)

    def _second_room(self) -> bool:
        """Starts a second actor for the room that stays open."""
        query = (QueryItem(tags=("verifiers",)),)
        verifiers = VerifierSet()
        with suppress(StoreError):
            for found in self._log.read(query):
                event = decode_line(found.event.data).event
                assert isinstance(event, VerifierSetRegistered)
                verifiers = verifier_set.evolve(verifiers, event)
        if not verifiers.version or not self._has_events(self._script.room, "room.opened"):
            return False
        made, address = room_plan(self._plan, self._script.room, verifiers), room_address(self._script.room)
        mode = Mode(virtual=False)
        create(RoomCell, self.scope, f"second-{address}", self.scope, made, self._plan.chain, mode, max_concurrency=4)
        return True

    def _send(self, command: Command) -> None:
        """Sends a command until the inbox has it."""
        while True:
            try:
                self._inbox.send(command)
                break
            except StoreError:
                time.sleep(SEND_S)
        self._sent[command.id] = command

    def _await(self, what: str, holds: Callable[[], bool]) -> None:
        await_(self.target.ground, what, holds, lambda: (self._position(), len(self._sent), len(self._answered)))

    def _reaches(self, events: int) -> bool:
        return self._position() >= events

    def _position(self) -> int:
        with suppress(StoreError):
            self.head = self._log.head()
        return self.head

    def _has_events(self, chain: str, type_: str) -> bool:
        with suppress(StoreError):
            return bool(self._log.read((QueryItem(tags=(chain_tag(chain),), types=(type_,)),), limit=1))
        return False

    def _swarms_are_over(self) -> bool:
        with suppress(StoreError):
            found = [decode_line(p.event.data).event for p in self._log.read((QueryItem(types=("swarm.completed",)),))]
            over = {event.swarm for event in found if isinstance(event, SwarmCompleted)}
            return over == set(self._script.swarms)
        return False

    def _all_answered(self) -> bool:
        with suppress(StoreError):
            for id_ in self._sent.keys() - self._answered:
                if self._inbox.get(id_).state is not State.OPEN:
                    self._answered.add(id_)
        return len(self._answered) == len(self._sent)

    def _all_closed(self) -> bool:
        with suppress(StoreError):
            found = [
                decode_line(p.event.data) for p in self._log.read((QueryItem(types=("room.closed", "room.opened")),))
            ]
            closed = {event.chain for event in found if isinstance(event.event, RoomClosed)}
            return {event.chain for event in found} == closed
        return False

    def _is_empty(self) -> bool:
        return not living(self.scope, "room") and not living(self.scope, "host")

    def _is_shown(self) -> bool:
        """Tells whether Redis has the figures of the room that stays open."""
        try:
            return bool(self._redis.exists(f"room:{self._script.room}:stats"))
        except redis.RedisError:
            return False

    # --- What must hold in the end --------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Returns what is wrong."""
        wrong = []
        for id_, command in self._sent.items():
            first = self._inbox.get(id_)
            if self._inbox.send(command) != first:
                wrong.append(f"command {id_} sent again has another answer")
            if first.answer is not None and "mistake in the program" in first.answer.hint:
                wrong.append(f"command {id_}: {first.answer.why}")
        with (
            closing(PostgresVault(self._dsn, LOG)) as vault,
            closing(PostgresVault(self._dsn, LOG, table="memory")) as memory,
        ):
            stored = self._log.read()
            wrong += oracle.check_log(stored)
            events = oracle.recorded(stored)
            wrong += oracle.check_ledger(memory, events) + oracle.check_votes(memory, events)
            key, rooms = derive_key(self._secret, "installation", "archives"), oracle.rooms_of(events)
            wrong += oracle.check_archives(self._log, vault, key, lambda room: room_key(self._secret, room), rooms)
        return wrong + oracle.check_tables(self._dsn, LOG)
