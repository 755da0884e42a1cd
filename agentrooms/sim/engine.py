"""One reproducible run: genesis, actors on the local runtime, virtual time, until the room is empty.

A run shares nothing with any other: its log, vault, chain and verifiers are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agentrooms.actors.agent_host import AgentHost
from agentrooms.actors.messages import (
    AskAgain,
    Command,
    Committed,
    Message,
    Reconfigure,
    Remove,
    Scheduled,
    Spawn,
    Tick,
)
from agentrooms.actors.room import RoomActor, RoomConfig
from agentrooms.actors.runtime import LocalRuntime
from agentrooms.actors.settlement import SettlementActor
from agentrooms.actors.verifier import VerifierActor
from agentrooms.chain.ledger import LedgerChain
from agentrooms.domain import collection, posting, swarm, user, verifier_set
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.ids import derive_id, draw_below, seed_bytes
from agentrooms.domain.keys import derive_key, public_hex
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import Room, RoomOpened, RoomStatus
from agentrooms.domain.verifier_set import VERIFIERS, Verifier, VerifierSet
from agentrooms.errors import InvalidInput
from agentrooms.events.journal import Entry, Journal, fence
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import Conflict, EventStore, QueryItem
from agentrooms.events.tags import swarm_tag
from agentrooms.events.transact import transact
from agentrooms.events.vault import MemoryVault, put_mandate
from agentrooms.language import ScriptedNarrator, Wording
from agentrooms.sim import sales
from agentrooms.sim.settings import Intervention, RunSettings
from agentrooms.sim.swarm import COLLECTION, COLLECTION_NAME, COMPARABLE_BY, Recruit, Recruiter

WATCHER = "watcher"
SETTLEMENT = "settlement"
GENESIS, COMPLETE = "genesis", "swarm:complete"  # commands of the roomless chain
HOSTING = b"agentrooms-hosts"  # the key that spreads agents over hosts, the same in all runs
RESEARCHER = "0x" + "0" * 39 + "1"  # the owner of swarms of reproducible runs

Progress = Callable[[Committed], None]


class Engine:
    """A run in the making; `run` takes it to its end."""

    def __init__(
        self,
        settings: RunSettings,
        *,
        store: EventStore | None = None,
        chain: LedgerChain | None = None,
        narrator: Wording | None = None,
        hosts: int = 1,
        change: Callable[[list[Recruit], Recruiter], list[Recruit]] | None = None,
    ) -> None:
        self.settings = settings
        self.store: EventStore = store if store is not None else MemoryEventStore()
        self.vault = MemoryVault()
        self.chain = chain if chain is not None else LedgerChain()
        self.runtime = LocalRuntime()
        self.run_key = seed_bytes(settings.seed)
        self.run_id = derive_id("run", settings.seed)
        self.room_id = derive_id("room", self.run_id, 0)
        self.swarm_id = derive_id("swarm", self.run_id, 0)
        self._narrator = narrator if narrator is not None else ScriptedNarrator()
        self._platform = Journal(self.store)
        self._recruiter = Recruiter(
            settings, self.run_key, self.run_id, self.swarm_id, sales.window(self.run_key, settings.usdc_per_eth)
        )
        self._recruits = self._recruiter.recruits()
        if change is not None:  # an experiment on the agents themselves; such a run is not its settings' run
            self._recruits = change(self._recruits, self._recruiter)
        self._verifiers = self._genesis()
        self._place(hosts)

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
        assert self.room.status is RoomStatus.INACTIVE, "a run ends when its room has closed"
        deals = sum(deal.receipt is not None for deal in self.room.deals.values())
        transact(
            self._platform,
            (QueryItem(tags=(swarm_tag(self.swarm_id),)),),
            swarm.fold,
            lambda state: swarm.finish(state, deals),
            at_ms=self.room.at_ms(self.room.round),
            cmd=COMPLETE,
        )

    def _genesis(self) -> VerifierSet:
        """Writes what is there before the first round, as one command."""
        settings = self.settings
        names = tuple(f"verifier_{n}" for n in range(1, VERIFIERS + 1))
        members = tuple(Verifier(n, public_hex(derive_key(self.run_key, "verifier", n))) for n in names)
        registered = verifier_set.register(VerifierSet(), self.chain.chain_id, self.chain.escrow, members)
        verifiers = verifier_set.evolve(VerifierSet(), registered[0])
        self.chain.register(verifiers)
        events: list[Event] = [*registered]
        registration = collection.register(
            collection.Collection(), COLLECTION, COLLECTION_NAME, COMPARABLE_BY, sales.COMMON
        )
        self._collection = collection.evolve(collection.Collection(), registration[0])
        events += registration
        for recruit in sorted(self._recruits, key=lambda r: r.spawned.agent):
            events += self._provide(recruit)
        events += swarm.start(
            swarm.Swarm(),
            swarm.SwarmStarted(
                self.swarm_id, self.room_id, RESEARCHER, settings.preset, settings.buyers, settings.sellers
            ),
        )
        self._platform.load()
        outcome = self._platform.append([Entry(event) for event in events], at_ms=settings.started_at_ms, cmd=GENESIS)
        assert not isinstance(outcome, Conflict), "a run's log is its own"
        return verifiers

    def _provide(self, recruit: Recruit) -> list[Event]:
        """Gives a recruit its user, budget, funds or item, and keeps its mandate in the vault."""
        put_mandate(self.vault, recruit.mandate)
        wallet = recruit.spawned.owner
        events: list[Event] = [*user.register(user.User(), wallet)]
        if recruit.funds is not None:
            known = user.User(user.user_id(wallet), wallet)
            events += [*user.set_budget(known, recruit.budget_usdc_micros), recruit.funds]
            self.chain.fund(recruit.funds)
        if recruit.mint is not None:
            events.append(recruit.mint)
            self.chain.mint(recruit.mint)
        return events

    def _place(self, hosts: int) -> None:
        """Opens the room and places its actors, then schedules what happens when."""
        settings = self.settings
        opened = RoomOpened(
            base_grade=sales.COMMON,
            collection=COLLECTION,
            comparable_by=COMPARABLE_BY,
            name=f"{COLLECTION_NAME} floor",
            quote_rounds=settings.quote_rounds,
            room=self.room_id,
            round_ms=settings.round_ms,
            started_at_ms=settings.started_at_ms,
        )
        transact(
            Journal(self.store, self.room_id),
            fence(self.room_id),
            partial(fold, Room()),
            lambda room: posting.open_room(room, opened, self._collection),
            at_ms=settings.started_at_ms,
            cmd=f"open:{self.room_id}",
        )
        for verifier in self._verifiers.verifiers:
            key = derive_key(self.run_key, "verifier", verifier.id)
            make = partial(
                VerifierActor,
                verifier.id,
                key,
                self.chain,
                self.vault,
                set_version=self._verifiers.version,
                kept={},
            )
            self.runtime.place(f"verifier:{verifier.id}", make)
        self.runtime.place(SETTLEMENT, self._make_settlement)
        addresses = tuple(f"host:{n}" for n in range(hosts))
        for n, address in enumerate(addresses):
            self.runtime.place(address, partial(self._make_host, address, n, hosts))
        venue = Venue(self.chain.chain_id, self.chain.escrow, self._verifiers.version, settings.deal_ms)
        config = RoomConfig(
            room=self.room_id,
            hosts=addresses,
            settlement=SETTLEMENT,
            watcher=WATCHER,
            venue=venue,
            run_key=self.run_key,
            close_when_empty=True,
        )
        self.runtime.place(f"room:{self.room_id}", partial(self._make_room, config))

    def _make_host(self, address: str, number: int, hosts: int) -> AgentHost:
        mine = partial(_is_hosted, number, hosts)
        past = tuple(r.event for r in Journal(self.store, self.room_id).load())
        return AgentHost(address, f"room:{self.room_id}", self.vault, self.run_key, mine, past)

    def _make_room(self, config: RoomConfig) -> RoomActor:
        self._room_actor = RoomActor(config, self.store, self.vault, self._narrator, self._verifiers)
        self._schedule()
        return self._room_actor

    def _make_settlement(self) -> SettlementActor:
        self.runtime.tell(f"room:{self.room_id}", AskAgain())  # its jobs, if this is not the first
        return SettlementActor(SETTLEMENT, self.chain, self.vault, self._verifiers)

    def _schedule(self) -> None:
        """Tells a room what is still to come. Rounds without events were run before, or are run once more."""
        address, done = f"room:{self.room_id}", self.room.round
        todo: list[tuple[int, Command]] = [(recruit.join_round, Spawn(recruit.spawned)) for recruit in self._recruits]
        todo += [(intervention.round, self._command(intervention)) for intervention in self.settings.interventions]
        for scheduled in (Scheduled(round_, command, order) for order, (round_, command) in enumerate(todo)):
            if max(1, scheduled.round) > done:
                self.runtime.tell(address, scheduled)
        self.runtime.tell(address, Tick(done + 1))

    def _command(self, intervention: Intervention) -> Reconfigure | Remove:
        """Returns the command of an intervention. Raises InvalidInput when its agent is not in the run."""
        recruit = next((r for r in self._recruits if r.spawned.agent == intervention.agent), None)
        if recruit is None:
            raise InvalidInput(
                f"agent {intervention.agent} is not in this run", hint="`agentrooms replay` lists agents"
            )
        if intervention.removed:
            return Remove(intervention.agent)
        mandate = None
        if intervention.limit_usdc_micros is not None:
            mandate = put_mandate(self.vault, self._recruiter.remandate(recruit, intervention.limit_usdc_micros))
        return Reconfigure(intervention.agent, intervention.strategy, intervention.style, mandate)


def _is_hosted(number: int, hosts: int, agent: str) -> bool:
    return draw_below(HOSTING, hosts, "host", agent) == number


def _report(progress: Progress, message: Message) -> None:
    if isinstance(message, Committed):
        progress(message)
