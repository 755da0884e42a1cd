"""One reproducible run on Ray: the same genesis, the same actors, each in a process of its own, the same bytes.

The driver writes what is there before the first round, starts the actors and waits. Whatever dies on the way is
made anew from the log; a run whose driver died goes on where it was when it is started again on the same log.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import ray

from agentrooms.actors.cells import Cell, create
from agentrooms.actors.messages import Committed
from agentrooms.actors.plans import room_address, verifier_address
from agentrooms.actors.remote import RemoteChain, Service, connect_parts, end
from agentrooms.actors.room_cell import SHARED, Mode, RoomCell
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chain.spec import run_spec
from agentrooms.domain.folding import fold
from agentrooms.domain.room import Room
from agentrooms.errors import AgentroomsError
from agentrooms.events.journal import Journal
from agentrooms.events.record import Recorded
from agentrooms.projections.walk import round_of
from agentrooms.sim.chain_file import chain_file, forget_chain
from agentrooms.sim.genesis import Genesis
from agentrooms.sim.settings import RunSettings

POLL_S = 0.1
OTHERS_S = 5.0  # between two looks whether settlement and verifiers are there
FAILURES_MAX = 20  # times a room may be made anew for a reason of its own
ACTOR_BYTES = 120_000_000  # what one process of ours needs at most, shared memory not counted twice
SERVICES = 11  # processes of a run beside its hosts: log, chain, seven verifiers, settlement, room

Progress = Callable[[Committed], None]


class RunFailed(AgentroomsError):
    """A run on Ray cannot go on."""


def hosts_for(agents: int, agents_per_actor: int | None) -> int:
    """Returns how many hosts share the agents of a run, 0 for one each; None asks for as many as there are CPUs."""
    if agents_per_actor == 1:
        return 0
    if agents_per_actor is None:
        return max(1, min(agents, int(_cluster_cpus())))
    return -(-agents // agents_per_actor)


class RayRun:
    """A run in the making on a Ray that has been started. `scope` names its actors; the same scope goes on with them."""

    def __init__(
        self, settings: RunSettings, spec: LogSpec, *, scope: str = "", agents_per_actor: int | None = None
    ) -> None:
        self.settings = settings
        self.scope = scope or f"run-{secrets.token_hex(6)}"
        agents = settings.buyers + settings.sellers
        hosts = hosts_for(agents, agents_per_actor)
        self.processes = SERVICES + (hosts or agents)
        self.genesis = Genesis(settings, hosts=hosts)
        self.run_key, self.run_id = self.genesis.run_key, self.genesis.run_id
        self.room_id, self.swarm_id = self.genesis.room_id, self.genesis.swarm_id
        self._spec = spec
        self._chain = run_spec(settings.chain, settings.started_at_ms, chain_file(self.scope))
        self._parts = connect_parts(self.scope, self._chain)
        self.store, self.vault = self._parts.store, self._parts.vault
        self.room = Room()

    def run(self, progress: Progress | None = None) -> None:
        """Runs to the end; `progress` sees what was appended since it was last called. Raises RunFailed."""
        self.start()
        self.wait(progress)
        self.genesis.finish(self.store, self.room)

    def start(self) -> None:
        """Starts what the room needs to begin, unless it lives already; agents' hosts are started by the room."""
        create_services(self.scope, self._spec, self._chain)
        assert isinstance(self._parts.chain, RemoteChain)
        self.genesis.write(self._parts, self._parts.chain.provide)
        plan = self.genesis.room_plan()
        address = room_address(self.room_id)
        create(RoomCell, self.scope, address, self.scope, plan, self._chain, Mode(virtual=True), max_concurrency=4)

    def start_others(self) -> None:
        """Starts settlement and verifiers, which nobody needs before the first deal; the room waits for them then."""
        create(Cell, self.scope, SHARED["settlement"], self.scope, self.genesis.settlement_plan, self._chain)
        for verifier in self.genesis.verifier_plans:
            create(Cell, self.scope, verifier_address(verifier.name), self.scope, verifier, self._chain)

    def wait(self, progress: Progress | None = None) -> None:
        """Waits until the room has closed, and folds what it appends."""
        journal = Journal(self.store, self.room_id)
        room = Service(self.scope, room_address(self.room_id))
        others_s = 0.0
        while True:
            standing: dict[str, Any] = room.call("progress")
            wanted = standing["heard"] or standing["deals"] or standing["over"]
            if wanted and time.monotonic() - others_s > OTHERS_S:  # again now and then: one may have ended for good
                self.start_others()
                others_s = time.monotonic()
            new = journal.load()
            self.room = fold(self.room, [r.event for r in new])
            if new and progress is not None:
                progress(_committed(self.room_id, new))
            lost = standing["over"] and standing["trouble"]
            if lost or standing["failures"] > FAILURES_MAX:
                raise RunFailed(
                    f"the room cannot go on: {standing['trouble']}", hint="run again: it goes on where it was"
                )
            if standing["over"] and not new:
                return
            time.sleep(POLL_S)

    def close(self) -> None:
        """Ends all processes of the run, and its chain."""
        end(self.scope)
        forget_chain(self.scope)


def _cluster_cpus() -> float:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 1.0)


def _committed(room: str, new: list[Recorded]) -> Committed:
    return Committed(room, new[-1].at_ms, round_of(new[-1].event), tuple(r.event for r in new))
