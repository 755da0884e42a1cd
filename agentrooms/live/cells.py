"""The Ray actors of a living system beside its rooms: the desk, which people's commands reach, projector and jobs."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import ray

from agentrooms.actors import messages
from agentrooms.actors.cells import Cell, create
from agentrooms.actors.hosting import Hosting
from agentrooms.actors.plans import (
    RemoteVerifierPlan,
    RoomPlan,
    SettlementPlan,
    mixed_plans,
    room_address,
    settlement_address,
    verifier_address,
)
from agentrooms.actors.remote import CHAIN, LOG, NAMESPACE, RemoteChain, connect_parts, named, this_process
from agentrooms.actors.room import RoomConfig
from agentrooms.actors.room_cell import SHARED, Mode, RoomCell
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chain.spec import ChainSpec
from agentrooms.domain.posting import Venue
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.postgres import channel
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.jobs.service import Jobs, JobsPlan
from agentrooms.live.access import READ
from agentrooms.live.commands import Command, EnlistAgent, OpenRoom, RunSwarm, SpawnAgent
from agentrooms.live.desk import Desk
from agentrooms.live.health import Health
from agentrooms.live.inbox import Inbox
from agentrooms.live.wallets import room_key
from agentrooms.projections.projector import Projector
from agentrooms.projections.redis_stats import RedisStats
from agentrooms.services.ray import admit
from agentrooms.services.redis import client
from agentrooms.sim.ray_run import ACTOR_BYTES
from agentrooms.sim.settings import PRESETS

DESK, PROJECTOR, JOBS = "desk", "projector", "jobs"
DEAL_MS = 60_000  # how long a live deal may take from its lock
LISTEN_S = 0.1  # how long a step waits for what rooms report
STEP_S = 0.1  # between two looks of the desk, when nothing wakes it
ASK_S = 2.0  # between two rounds of asking all processes how they are, and how long their answers may take
BACKOFF_S = (0.1, 5.0)
WATCHER = "watcher"

log = logging.getLogger(__name__)


class LivePlan(msgspec.Struct, frozen=True):
    """What the desk needs to make rooms. `packed` hosts share the agents of a swarm, 0 gives each its own.

    `remotes` are verifiers that others run; the rest of the seven run here. Without `jobs` there is no process for them.
    """

    scope: str
    spec: LogSpec
    chain: ChainSpec
    secret: bytes
    packed: int
    remotes: tuple[RemoteVerifierPlan, ...] = ()
    jobs: JobsPlan | None = None


def room_plan(plan: LivePlan, room: str, verifiers: VerifierSet) -> RoomPlan:
    """Returns how a room of the system is made."""
    config = RoomConfig(
        room=room,
        hosting=Hosting(room, plan.packed),
        settlement=settlement_address(room),
        watcher=WATCHER,
        venue=Venue(plan.chain.site, verifiers.version, DEAL_MS),
        run_key=room_key(plan.secret, room),
        patient=False,
    )
    return RoomPlan(config, verifiers)


def processes_of(command: Command, packed: int) -> int:
    """Returns how many processes a command starts: rooms, agents of their own, hosts that a swarm's agents share."""
    match command:
        case OpenRoom() | SpawnAgent() | EnlistAgent():
            return 1
        case RunSwarm():
            buyers, sellers = PRESETS.get(command.preset or "", (command.buyers or 0, command.sellers or 0))
            return (packed or buyers + sellers) + (command.room is None)
    return 0


class DeskCell:
    """Hosts the desk. It steps by itself; rooms and processes are asked how they are along the way."""

    def __init__(self, plan: LivePlan) -> None:
        assert plan.spec.dsn is not None
        self._plan = plan
        self._inbox = Inbox(plan.spec.dsn)
        self._health = Health(plan.spec.dsn)
        self._rooms: dict[str, Any] = {}
        self._reports: dict[str, Any] = {}  # asked for and not yet there
        self._desk: Desk | None = None
        self._asked_s = 0.0
        self._trouble = ""
        self._steps = 0
        threading.Thread(target=self._live, name="desk", daemon=True).start()

    def health(self) -> dict[str, Any]:
        """Returns this process's id, how often the desk has stepped and what troubles it."""
        return {**this_process(), "steps": self._steps, "rooms": len(self._rooms), "trouble": self._trouble}

    def _live(self) -> None:
        wait = BACKOFF_S[0]
        while True:
            try:
                desk = self._recovered()
                wait = BACKOFF_S[0]
                while True:
                    self._step(desk)
            except Exception as error:
                log.exception("the desk failed")
                self._trouble = f"{type(error).__name__}: {error}"
                time.sleep(wait)
                wait = min(BACKOFF_S[1], wait * 2)

    def _recovered(self) -> Desk:
        plan = self._plan
        parts = connect_parts(plan.scope, plan.chain)
        assert isinstance(parts.chain, RemoteChain)
        desk = Desk(
            store=parts.store,
            vault=parts.vault,
            memory=parts.memory,
            chain=parts.chain,
            inbox=self._inbox,
            secret=plan.secret,
            tell=self._tell,
            open_room_actor=self._open_room_actor,
            clock_ms=lambda: time.time_ns() // 1_000_000,
            admit=self._admit,
            mock_wallets=plan.chain.provided,
        )
        self._desk = desk
        self._asked_s = time.monotonic()  # rooms start before those whom nobody needs yet
        desk.recover(tuple(one.member for one in mixed_plans(plan.secret, 0, plan.remotes)))
        self._trouble = ""
        return desk

    def _admit(self, command: Command) -> None:
        """Raises NotEnoughMemory when there is no room for the processes that a command needs."""
        needed = processes_of(command, self._plan.packed)
        if needed:
            admit(needed, ACTOR_BYTES)

    def _step(self, desk: Desk) -> None:
        self._steps += 1
        self._listen(desk)
        busy = desk.step()
        if time.monotonic() - self._asked_s > ASK_S:
            self._ask_all()
            self._asked_s = time.monotonic()
        if not busy:
            self._inbox.await_new(STEP_S)

    def _tell(self, room: str, message: messages.Message) -> None:
        handle = self._rooms.get(room)
        if handle is not None:
            handle.tell.remote(message)

    def _listen(self, desk: Desk) -> None:
        """Hears from rooms that answer soon; of the others the next step hears, so that none holds up the rest."""
        for room, handle in self._rooms.items():
            if room not in self._reports:
                self._reports[room] = handle.report.remote()
        if not self._reports:
            return
        waiting = list(self._reports.values())
        ready = set(ray.wait(waiting, num_returns=len(waiting), timeout=LISTEN_S)[0])
        for room, report in list(self._reports.items()):
            if report in ready:
                del self._reports[room]
                self._hear(desk, room, report)

    def _hear(self, desk: Desk, room: str, ref: Any) -> None:  # noqa: ANN401 - Ray's references have no types
        """Learns what became of orders; a room that has closed is let go, one that was lost is made anew."""
        try:
            report = ray.get(ref)
        except ray.exceptions.ActorDiedError:  # perhaps for good, which Ray does not mend
            self._open_room_actor(room)
            return
        except ray.exceptions.RayError:
            return  # it is being made anew; its orders are given again
        desk.passed(room, report["round"])
        for command, why in report["outcomes"]:
            desk.outcome(room, command, why)
        if report["over"] and room in self._rooms:
            ray.kill(self._rooms.pop(room))
            if report["trouble"]:  # fenced by a writer that may be gone by now
                self._open_room_actor(room)

    def _open_room_actor(self, room: str) -> None:
        plan = self._plan
        assert self._desk is not None
        made = room_plan(plan, room, self._desk.verifiers)
        self._rooms[room] = create(
            RoomCell,
            plan.scope,
            room_address(room),
            plan.scope,
            made,
            plan.chain.public,
            Mode(virtual=False),
            max_concurrency=4,
        )

    def _ensure_others(self, there: set[str]) -> None:
        """Makes the processes of the system that are not there. Rooms came first: people look at them."""
        plan = self._plan
        assert self._desk is not None
        settlement = SHARED["settlement"]
        if not {f"{plan.scope}/{LOG}", f"{plan.scope}/{CHAIN}"} <= there:  # one that was fenced has ended for good
            create_services(plan.scope, plan.spec, plan.chain)
        if f"{plan.scope}/{settlement}" not in there:
            create(
                Cell,
                plan.scope,
                settlement,
                plan.scope,
                SettlementPlan(self._desk.verifiers, WATCHER, patient=False),
                plan.chain.public,
            )
        for verifier in mixed_plans(plan.secret, self._desk.verifiers.version, plan.remotes):
            address = verifier_address(verifier.name)
            if f"{plan.scope}/{address}" not in there:
                create(Cell, plan.scope, address, plan.scope, verifier, plan.chain.public, address)
        if f"{plan.scope}/{PROJECTOR}" not in there:
            create(ProjectorCell, plan.scope, PROJECTOR, plan.spec, READ, head=True)
        if plan.jobs is not None and f"{plan.scope}/{JOBS}" not in there:
            create(JobsCell, plan.scope, JOBS, plan.jobs, head=True)

    def _end_leftovers(self, there: list[str]) -> None:
        """Ends rooms that closed while no desk was there to let them go."""
        ours = {f"{self._plan.scope}/{room_address(room)}" for room in self._rooms}
        for name in there:
            if name.startswith(f"{self._plan.scope}/{room_address('')}") and name not in ours:
                with suppress(ValueError):
                    ray.kill(ray.get_actor(name, namespace=NAMESPACE))

    def _ask_all(self) -> None:
        """Asks every process of the system how it is, and makes those that are missing."""
        names = named(self._plan.scope)
        self._end_leftovers(names)
        self._ensure_others(set(names))
        asked: dict[str, Any] = {}
        for name in names:
            try:
                asked[name] = ray.get_actor(name, namespace=NAMESPACE).health.remote()
            except ValueError:
                continue
        ready, _late = ray.wait(list(asked.values()), num_returns=len(asked), timeout=ASK_S) if asked else ([], [])
        done = set(ready)
        self._health.note(
            {name.partition("/")[2]: _answer(ref) if ref in done else None for name, ref in asked.items()}
        )


def _answer(ref: Any) -> dict[str, Any] | None:  # noqa: ANN401 - Ray's references have no types
    try:
        answer: dict[str, Any] = ray.get(ref)
    except ray.exceptions.RayError:
        return None
    return answer


class ProjectorCell:
    """Keeps the read models and Redis up with the log."""

    def __init__(self, spec: LogSpec, schema: str) -> None:
        assert spec.dsn is not None
        self._trouble = ""
        self._stop = threading.Event()
        self._projector: Projector | None = None
        make = partial(self._make, spec, schema)
        threading.Thread(target=self._live, args=(make,), name="projector", daemon=True).start()

    def health(self) -> dict[str, Any]:
        """Returns this process's id, the last event that is in the tables and what troubles it."""
        position = self._projector.position if self._projector is not None else 0
        return {**this_process(), "position": position, "trouble": self._trouble}

    @staticmethod
    def _make(spec: LogSpec, schema: str) -> Projector:
        assert spec.dsn is not None
        stats = RedisStats(client(spec.redis_url)) if spec.redis_url is not None else None
        store = PostgresLog(spec.dsn, spec.schema)
        return Projector(store, spec.dsn, schema, channel=channel(spec.schema), stats=stats)

    def _live(self, make: Any) -> None:  # noqa: ANN401 - a bound partial
        wait = BACKOFF_S[0]
        while not self._stop.is_set():
            try:
                self._projector, self._trouble = make(), ""
                self._projector.run(self._stop)
            except Exception as error:
                log.exception("the projector failed")
                self._trouble = f"{type(error).__name__}: {error}"
                time.sleep(wait)
                wait = min(BACKOFF_S[1], wait * 2)


class JobsCell:
    """Does the jobs of the system: what the log, the clock and people have asked for."""

    def __init__(self, plan: JobsPlan) -> None:
        self._jobs: Jobs | None = None
        self._trouble = ""
        threading.Thread(target=self._live, args=(plan,), name="jobs", daemon=True).start()

    def health(self) -> dict[str, Any]:
        """Returns this process's id, what is being done, how far the log was followed and what troubles it."""
        said = self._jobs.health() if self._jobs is not None else {"trouble": self._trouble}
        return {**this_process(), **said}

    def _live(self, plan: JobsPlan) -> None:
        wait = BACKOFF_S[0]
        while self._jobs is None:
            try:
                self._jobs = Jobs(plan)
            except Exception as error:
                log.exception("the jobs cannot begin")
                self._trouble = f"{type(error).__name__}: {error}"
                time.sleep(wait)
                wait = min(BACKOFF_S[1], wait * 2)
        self._jobs.run(threading.Event())
