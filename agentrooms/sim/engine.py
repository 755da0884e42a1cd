"""One reproducible run in this process: genesis, actors on the local runtime, virtual time, until the room is empty.

A run shares nothing with any other: its log, vault, chain and verifiers are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agentrooms.actors.messages import AskAgain, Committed, Message, Tick
from agentrooms.actors.plans import Parts, room_address, settlement_address, verifier_address
from agentrooms.actors.room import RoomActor
from agentrooms.actors.runtime import Actor, LocalRuntime
from agentrooms.chain.spec import ProvidedChain
from agentrooms.domain.room import Room
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import EventStore
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.language import ScriptedNarrator, Wording
from agentrooms.sim.genesis import WATCHER, Change, Genesis
from agentrooms.sim.settings import RunSettings

Progress = Callable[[Committed], None]


class Engine:
    """A run in the making; `run` takes it to its end. On a store that holds a part of it, it goes on from there."""

    def __init__(
        self,
        settings: RunSettings,
        *,
        store: EventStore | None = None,
        vault: Vault | None = None,
        memory: Vault | None = None,
        chain: ProvidedChain | None = None,
        narrator: Wording | None = None,
        hosts: int = 1,
        change: Change | None = None,
    ) -> None:
        self.settings = settings
        self.genesis = Genesis(settings, hosts=hosts, change=change)
        self.run_key, self.run_id = self.genesis.run_key, self.genesis.run_id
        self.room_id, self.swarm_id = self.genesis.room_id, self.genesis.swarm_id
        self.store: EventStore = store if store is not None else MemoryEventStore()
        self.vault: Vault = vault if vault is not None else MemoryVault()
        kept: Vault = memory if memory is not None else MemoryVault()
        self.chain = chain if chain is not None else self.genesis.chain_spec.open_provided(kept)
        words = narrator if narrator is not None else ScriptedNarrator()
        self._parts = Parts(self.store, self.vault, kept, self.chain, words)
        self.genesis.write(self._parts, self.chain.provide)
        self._plan = self.genesis.room_plan()
        self.runtime = LocalRuntime(partial(self._plan.make, parts=self._parts))
        self._place()

    @property
    def room(self) -> Room:
        """The room as it is now."""
        return self._room_actor.room

    def run(self, progress: Progress | None = None) -> None:
        """Runs to the end; `progress` sees every round that had events."""
        if progress is not None:
            self.runtime.watch(WATCHER, partial(_report, progress))
        while self.runtime.step():
            pass
        self.finish()

    def finish(self) -> None:
        """Ends the swarm in the log. The room must be closed."""
        self.genesis.finish(self.store, self.room)

    def _place(self) -> None:
        for plan in self.genesis.verifier_plans:
            address = verifier_address(plan.name)
            self.runtime.place(address, partial(plan.make, address, self._parts))
        self.runtime.place(settlement_address(self.room_id), self._make_settlement)
        self.runtime.place(room_address(self.room_id), self._make_room)

    def _make_room(self) -> Actor:
        """Makes the room; rounds without events may have run before, and run once more."""
        made = self._plan.make(room_address(self.room_id), self._parts)
        assert isinstance(made, RoomActor)
        self._room_actor = made
        self.runtime.tell(room_address(self.room_id), Tick(made.room.round + 1))
        return made

    def _make_settlement(self) -> Actor:
        self.runtime.tell(room_address(self.room_id), AskAgain())  # its jobs, if this is not the first
        return self.genesis.settlement_plan.make(settlement_address(self.room_id), self._parts)


def _report(progress: Progress, message: Message) -> None:
    if isinstance(message, Committed):
        progress(message)
