"""What is there before a run's first round: agents, money, items, verifiers, a room; all drawn from the settings.

Writing it once more changes nothing, so a run that was cut anywhere begins again with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import Command, Reconfigure, Remove, Scheduled, Spawn
from agentrooms.actors.plans import (
    Parts,
    RoomPlan,
    SettlementPlan,
    VerifierPlan,
    put_schedule,
    settlement_address,
    verifier_plans,
)
from agentrooms.actors.room import RoomConfig
from agentrooms.chain.ledger import Provided
from agentrooms.chain.spec import ChainSpec, run_spec
from agentrooms.domain import collection, posting, swarm, verifier_set
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.ids import derive_id, seed_bytes
from agentrooms.domain.mandate import mandate_hash
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import Room, RoomOpened, RoomStatus
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.errors import InvalidInput
from agentrooms.events.journal import Entry, Journal, fence
from agentrooms.events.keyring import Keyring
from agentrooms.events.store import Conflict, EventStore, QueryItem
from agentrooms.events.tags import swarm_tag
from agentrooms.events.transact import transact
from agentrooms.events.vault import Vault, put_mandate, put_mandates
from agentrooms.sim import sales
from agentrooms.sim.settings import Intervention, RunSettings
from agentrooms.sim.swarm import COLLECTION_NAME, COMPARABLE_BY, Recruit, Recruiter

WATCHER = "watcher"
GENESIS, COMPLETE = "genesis", "swarm:complete"  # commands of the roomless chain
RESEARCHER = "0x" + "0" * 39 + "1"  # the owner of swarms of reproducible runs

Change = Callable[[list[Recruit], Recruiter], list[Recruit]]


class Genesis:
    """One run before it begins. `hosts` share its agents; with 0 each agent has its own."""

    def __init__(self, settings: RunSettings, *, hosts: int = 1, change: Change | None = None) -> None:
        self.settings = settings
        self.run_key = seed_bytes(settings.seed)
        self.run_id = derive_id("run", settings.seed)
        self.room_id = derive_id("room", self.run_id, 0)
        self.swarm_id = derive_id("swarm", self.run_id, 0)
        self._hosts = hosts
        window = sales.window(self.run_key, settings.usdc_per_eth)
        self._recruiter = Recruiter(settings, self.site, self.run_key, self.run_id, self.swarm_id, window)
        self.recruits = self._recruiter.recruits()
        if change is not None:  # an experiment on the agents themselves; such a run is not its settings' run
            self.recruits = change(self.recruits, self._recruiter)

    @cached_property
    def verifier_plans(self) -> tuple[VerifierPlan, ...]:
        """The seven verifiers with their keys."""
        return verifier_plans(self.run_key, set_version=1)

    @cached_property
    def verifiers(self) -> VerifierSet:
        """The verifier set of the run."""
        return verifier_set.evolve(VerifierSet(), self._registration)

    @cached_property
    def _registration(self) -> verifier_set.VerifierSetRegistered:
        members = tuple(plan.member for plan in self.verifier_plans)
        (registered,) = verifier_set.register(VerifierSet(), self.site.domain, members)
        return registered

    @property
    def site(self) -> Site:
        """The chain and contracts of the run."""
        return self.chain_spec.site

    @property
    def chain_spec(self) -> ChainSpec:
        """The run's chain."""
        return run_spec(self.settings.chain, self.settings.started_at_ms)

    @cached_property
    def venue(self) -> Venue:
        """Where the run's deals settle."""
        return Venue(self.site, self.verifiers.version, self.settings.deal_ms)

    @property
    def settlement_plan(self) -> SettlementPlan:
        """The run's settlement."""
        return SettlementPlan(self.verifiers, WATCHER)

    def room_plan(self) -> RoomPlan:
        """Returns the plan of the room and its hosts."""
        config = RoomConfig(
            room=self.room_id,
            hosting=Hosting(self.room_id, self._hosts),
            settlement=settlement_address(self.room_id),
            watcher=WATCHER,
            venue=self.venue,
            run_key=self.run_key,
            close_when_empty=True,
        )
        return RoomPlan(config, self.verifiers)

    def write(self, parts: Parts, provide: Callable[[Provided], None]) -> None:
        """Writes secrets, the schedule, the chain's state, the roomless events and the room's opening.

        What is there stays. Raises InvalidInput for a change of an agent that is not in the run.
        """
        put_mandates(parts.vault, (recruit.mandate for recruit in self.recruits))
        keyring = Keyring(parts.memory, self.run_key)
        parts.memory.put_many(dict(keyring.seal(r.spawned.agent, r.keys) for r in self.recruits))
        for intervention in self.settings.interventions:
            self._remandate(parts.vault, intervention)
        todo = enumerate(self._todo())
        schedule = tuple(Scheduled(round_, command, order) for order, (round_, command) in todo)
        put_schedule(parts.memory, self.room_id, schedule)
        funds = tuple(r.funds for r in self._by_id() if r.funds is not None)
        mints = tuple(r.mint for r in self._by_id() if r.mint is not None)
        provide(Provided(GENESIS, funds, mints, self.verifiers))
        self._write_platform(Journal(parts.store))
        self._open_room(parts.store)

    def finish(self, store: EventStore, room: Room) -> None:
        """Ends the swarm in the log. The room must be closed."""
        assert room.status is RoomStatus.INACTIVE, "a run ends when its room has closed"
        deals = sum(deal.receipt is not None for deal in room.deals.values())
        transact(
            Journal(store),
            (QueryItem(tags=(swarm_tag(self.swarm_id),)),),
            swarm.fold,
            lambda state: swarm.finish(state, deals),
            at_ms=room.at_ms(room.round),
            cmd=COMPLETE,
        )

    def _by_id(self) -> Sequence[Recruit]:
        return sorted(self.recruits, key=lambda r: r.spawned.agent)

    def _write_platform(self, platform: Journal) -> None:
        platform.load()
        if platform.is_done(GENESIS):
            return
        settings = self.settings
        events: list[Event] = [self._registration, *self._collection_events()]
        for recruit in self._by_id():
            events += recruit.provided()
        started = swarm.SwarmStarted(
            self.swarm_id, self.room_id, RESEARCHER, settings.preset, settings.buyers, settings.sellers
        )
        events += swarm.start(swarm.Swarm(), started)
        outcome = platform.append([Entry(event) for event in events], at_ms=settings.started_at_ms, cmd=GENESIS)
        assert not isinstance(outcome, Conflict), "a run's log is its own"

    def _collection_events(self) -> list[collection.CollectionEvent]:
        return collection.register(
            collection.Collection(), self.site.collection, COLLECTION_NAME, COMPARABLE_BY, sales.COMMON
        )

    def _open_room(self, store: EventStore) -> None:
        settings = self.settings
        known = collection.evolve(collection.Collection(), self._collection_events()[0])
        opened = RoomOpened(
            base_grade=sales.COMMON,
            collection=self.site.collection,
            comparable_by=COMPARABLE_BY,
            name=f"{COLLECTION_NAME} floor",
            quote_rounds=settings.quote_rounds,
            room=self.room_id,
            round_ms=settings.round_ms,
            started_at_ms=settings.started_at_ms,
        )
        transact(
            Journal(store, self.room_id),
            fence(self.room_id),
            partial(fold, Room()),
            lambda room: posting.open_room(room, opened, known),
            at_ms=settings.started_at_ms,
            cmd=f"open:{self.room_id}",
        )

    def _todo(self) -> list[tuple[int, Command]]:
        """Returns what the room is told when: who joins, and what a fork changes."""
        todo: list[tuple[int, Command]] = [(recruit.join_round, Spawn(recruit.spawned)) for recruit in self.recruits]
        return todo + [(change.round, self._command(change)) for change in self.settings.interventions]

    def _command(self, intervention: Intervention) -> Reconfigure | Remove:
        if intervention.removed:
            return Remove(self._changed(intervention).spawned.agent)
        mandate = self._remandate(None, intervention)
        return Reconfigure(
            self._changed(intervention).spawned.agent, intervention.strategy, intervention.style, mandate
        )

    def _remandate(self, vault: Vault | None, intervention: Intervention) -> str | None:
        """Returns the hash of the mandate an intervention gives, None when it gives none; keeps it in the vault."""
        recruit = self._changed(intervention)
        if intervention.limit_usdc_micros is None or intervention.removed:
            return None
        signed = self._recruiter.remandate(recruit, intervention.limit_usdc_micros)
        return put_mandate(vault, signed) if vault is not None else mandate_hash(signed.mandate)

    def _changed(self, intervention: Intervention) -> Recruit:
        recruit = next((r for r in self.recruits if r.spawned.agent == intervention.agent), None)
        if recruit is None:
            raise InvalidInput(
                f"agent {intervention.agent} is not in this run", hint="`agentrooms replay` lists agents"
            )
        return recruit
