"""A reproducible run under strikes: its log must have the bytes of the same run in one process, which nothing strikes."""

from __future__ import annotations

import secrets
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from threading import Thread

import msgspec
import ray

from agentrooms.actors.cells import create
from agentrooms.actors.plans import room_address
from agentrooms.actors.remote import find
from agentrooms.actors.room_cell import Mode, RoomCell
from agentrooms.actors.service_cells import LogSpec
from agentrooms.chain.spec import ChainSpec
from agentrooms.chaos import oracle
from agentrooms.chaos.ground import Ground
from agentrooms.chaos.plan import Plan
from agentrooms.chaos.processes import restarts
from agentrooms.chaos.seed import Outcome, Stalled, await_, describe, under_fire
from agentrooms.chaos.strikes import Strikes, Target
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import EventStore, StoreError
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.live.access import LOG, READ
from agentrooms.live.cells import PROJECTOR, ProjectorCell
from agentrooms.sim.engine import Engine
from agentrooms.sim.ray_run import RayRun, RunFailed
from agentrooms.sim.settings import RunSettings, custom

MANDATE_ROUNDS = (60, 100)
DEAL_MS = 20_000
RESUMES_MAX = 20
RESUME_S = 0.2  # before the run is started again; each time so much longer


def settings_of(plan: Plan) -> RunSettings:
    """Returns the run of a plan."""
    run = custom(plan.seed, plan.buyers, plan.sellers)
    return msgspec.structs.replace(run, mandate_rounds=MANDATE_ROUNDS, deal_ms=DEAL_MS)


def run_seed(plan: Plan, ground: Ground) -> Outcome:
    """Runs and checks one seed."""
    begun = time.monotonic()
    with ground.database() as dsn:
        migrate_log(dsn, LOG)
        spec = LogSpec(dsn, LOG, ground.redis_url)
        run = RayRun(
            settings_of(plan), spec, scope=f"chaos-{secrets.token_hex(6)}", agents_per_actor=plan.agents_per_actor
        )
        struck = _Struck(run, spec)
        target = Target(ground, run.scope, spec, struck.start, struck.second_room)
        try:
            with under_fire(plan, target) as strikes:
                wrong = struck.finish(strikes, ground)
            wrong += [f"a strike failed: {strikes.error!r}"] if strikes.error is not None else []
            wrong += _check(dsn, run) if not wrong else []
            made_anew = restarts(run.scope)
        finally:
            run.close()
        with closing(PostgresLog(dsn, LOG)) as log:
            events = log.head()
    return Outcome(
        plan=plan,
        struck=dict(strikes.done),
        missed=dict(strikes.missed),
        restarts=made_anew,
        resumed=struck.resumed,
        events=events,
        seconds=time.monotonic() - begun,
        wrong=tuple(wrong),
    )


class _Struck:
    """A run that is started again whenever it says that it cannot go on."""

    def __init__(self, run: RayRun, spec: LogSpec) -> None:
        self.resumed = 0
        self._run = run
        self._spec = spec
        self._done = False
        self._given_up = False
        self._error: BaseException | None = None

    def start(self) -> None:
        """Starts all actors, or those that are missing."""
        create(ProjectorCell, self._run.scope, PROJECTOR, self._spec, READ, head=True)
        while True:
            try:
                self._run.start()
                return self._run.start_others()
            except StoreError:
                self._resume()

    def second_room(self) -> bool:
        """Starts a second actor for the run's room."""
        run, address = self._run, room_address(self._run.room_id)
        plan = run.genesis.room_plan()
        second = f"second-{address}"
        create(RoomCell, run.scope, second, run.scope, plan, ChainSpec(), Mode(virtual=True), max_concurrency=4)
        return True

    def finish(self, strikes: Strikes, ground: Ground) -> list[str]:
        """Takes the run to its end, and the tables to the log's; returns what prevents it."""
        thread = Thread(target=self._to_the_end, name="run", daemon=True)
        thread.start()
        dsn = self._spec.dsn
        assert dsn is not None
        with closing(PostgresLog(dsn, LOG)) as log:
            try:
                await_(ground, "the run has ended", lambda: self._done, lambda: (_head(log), self.resumed))
                strikes.over.set()
                await_(ground, "nothing is struck", strikes.finished.is_set, lambda: 0)
                if self._error is None:
                    await_(
                        ground,
                        "the tables are up",
                        lambda: oracle.projected(dsn) == _head(log),
                        lambda: oracle.projected(dsn),
                    )
            except Stalled as stalled:
                self._given_up = True
                return [f"{stalled}; {describe(self._run.scope)}"]
        return [] if self._error is None else [f"the run failed: {self._error!r}; {describe(self._run.scope)}"]

    def _to_the_end(self) -> None:
        try:
            self.start()
            while not self._goes_to_the_end():
                self._resume()
        except Exception as error:  # noqa: BLE001 - it is reported with the seed
            self._error = error
        self._done = True

    def _goes_to_the_end(self) -> bool:
        try:
            self._run.run()
        except RunFailed:
            with suppress(ValueError):  # the room was fenced: whoever starts the run again makes it anew
                ray.kill(find(self._run.scope, room_address(self._run.room_id)))
            return False
        except StoreError:
            return False
        return True

    def _resume(self) -> None:
        self.resumed += 1
        time.sleep(RESUME_S * self.resumed)
        if self.resumed > RESUMES_MAX or self._given_up:
            raise RunFailed(f"the run was started {RESUMES_MAX} times")


def _head(log: PostgresLog) -> int:
    try:
        return log.head()
    except StoreError:
        return -1


@dataclass(frozen=True)
class _Stored:
    """A finished run as its database has it; its actors may be dead."""

    settings: RunSettings
    run_key: bytes
    run_id: str
    store: EventStore
    vault: Vault


def _check(dsn: str, run: RayRun) -> list[str]:
    memory = MemoryVault()
    reference = Engine(run.settings, memory=memory)
    reference.run()
    with (
        closing(PostgresLog(dsn, LOG)) as log,
        closing(PostgresVault(dsn, LOG)) as vault,
        closing(PostgresVault(dsn, LOG, table="memory")) as kept,
    ):
        stored = log.read()
        wrong = []
        if [found.event.data for found in stored] != [found.event.data for found in reference.store.read()]:
            wrong.append("the log has other bytes than the run in one process")
        if vault.export() != reference.vault.export():
            wrong.append("the vault has other bytes than that of the run in one process")
        if kept.export() != memory.export():
            wrong.append("verifiers or ledger remember otherwise than in one process")
        wrong += oracle.check_log(stored)
        events = oracle.recorded(stored)
        wrong += oracle.check_ledger(kept, events) + oracle.check_votes(kept, events)
        wrong += oracle.check_run(_Stored(run.settings, run.run_key, run.run_id, log, vault))
    return wrong + oracle.check_tables(dsn, LOG)
