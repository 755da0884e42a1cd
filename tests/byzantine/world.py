"""One locked deal before a real room, a real settlement and seven verifiers, some faulty, on a drawn schedule.

Only the agents' host is the test's: it signs whatever is locked, as hostile agents would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import (
    Accepted,
    Acts,
    AskAgain,
    AskVote,
    Begin,
    Decide,
    Message,
    Tick,
    Verdict,
    VerifyDeal,
    VoteCast,
)
from agentrooms.actors.plans import Parts, VerifierPlan, verifier_address, verifier_keys
from agentrooms.actors.room import RoomActor, RoomConfig
from agentrooms.actors.runtime import Actor, LocalRuntime, Send
from agentrooms.actors.settlement import SettlementActor
from agentrooms.chain.ledger import LEDGER, LedgerChain
from agentrooms.chain.port import ChainUnreachable
from agentrooms.chaos.faults import Fault, FaultyPlan
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.domain import posting
from agentrooms.domain.deal import Deal, Vote
from agentrooms.domain.event import Event
from agentrooms.domain.posting import Venue
from agentrooms.domain.verifier_set import VerifierSetRegistered
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import decode_line
from agentrooms.events.vault import MemoryVault, put_mandate
from agentrooms.language import ScriptedNarrator
from tests.byzantine.scenes import LOCKED_ROUND, VALID, Scene
from tests.domain import samples
from tests.domain.samples import KEY, NAMES, ROOM, SET, USDC

ROOM_AT, FIRST, SECOND, ROGUE = f"room:{ROOM}", f"settlement:{ROOM}", "settlement:second", "rogue"
STEPS_MAX = 20_000
AFTER_ROUNDS = 3  # the room goes on after the deal's end: nothing may be said of it any more
OTHER_PRICE = 81 * USDC


@dataclass(frozen=True)
class Schedule:
    """What happens to a deal. Without anything drawn, all goes well.

    `delays_ms` are those of each verifier's answers, one after the other; `unreachable` counts how often a
    verifier's chain does not answer at first; who is `drained` sees an empty wallet of the buyer after so many looks. A
    `second` settlement asks everything for itself so much later; a `rogue` one asks some verifiers, before anybody
    else, about another price for the same deal, which both agents have signed too. `deaths` end settlement or room
    after so many messages.
    """

    scene: Scene = VALID
    faults: Mapping[str, Fault] = field(default_factory=dict)
    delays_ms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unreachable: Mapping[str, int] = field(default_factory=dict)
    drained: Mapping[str, int] = field(default_factory=dict)
    second_ms: int | None = None
    rogue: frozenset[str] = frozenset()
    deaths: tuple[tuple[int, str], ...] = ()

    @property
    def stable(self) -> bool:
        """Whether all honest verifiers see the same deal on the same chain."""
        return not self.drained and not self.rogue


@dataclass(frozen=True)
class Said:
    """A vote that left a verifier."""

    by: str
    vote: Vote


class World:
    """Plays a schedule to its end and keeps all that was said."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.terms = schedule.scene.terms()
        self.other = schedule.scene.terms(OTHER_PRICE)
        self.store, self.vault = MemoryEventStore(), MemoryVault()
        self.chain = schedule.scene.ledger()
        self.said: list[Said] = []
        self.verdicts: list[Verdict] = []
        self.round = LOCKED_ROUND
        self.runtime = LocalRuntime()
        self._write_log()
        self._place()

    @property
    def honest(self) -> set[str]:
        """The verifiers without a fault."""
        return set(NAMES) - set(self.schedule.faults)

    @property
    def deal(self) -> Deal:
        """The deal as the room has it."""
        return self.room.room.deals[self.terms.deal]

    @property
    def events(self) -> list[Event]:
        """All events of the log."""
        return [decode_line(found.event.data).event for found in self.store.read()]

    def play(self) -> World:
        """Plays until the deal has ended, and a few rounds more."""
        deaths = dict(self.schedule.deaths)
        for step in range(STEPS_MAX):
            ended = self.deal.ended_round
            if ended is not None and self.round > ended + AFTER_ROUNDS:
                return self
            if step in deaths:
                self._kill(deaths[step])
            if not self.runtime.step():
                return self
        raise AssertionError(f"nothing ends within {STEPS_MAX} messages: {self.deal}")

    # --- The stage -------------------------------------------------------------------------------------------

    def _write_log(self) -> None:
        scene, terms = self.schedule.scene, self.terms
        registered = VerifierSetRegistered(SET.chain_id, SET.escrow, SET.verifiers, SET.version)
        Journal(self.store).append([Entry(registered)], at_ms=0, cmd="genesis")
        entries = [
            Entry(samples.opened()),
            Entry(samples.spawned(terms.buyer, scene.buyer, LOCKED_ROUND)),
            Entry(samples.spawned(terms.seller, scene.seller, LOCKED_ROUND)),
            Entry(posting.lock(terms, LOCKED_ROUND), terms),
        ]
        Journal(self.store, ROOM).append(entries, at_ms=samples.START_MS, cmd="opened")
        for signed in (scene.buyer, scene.seller) if scene.in_vault else (scene.seller,):
            put_mandate(self.vault, signed)

    def _place(self) -> None:
        place = self.runtime.place
        for name in NAMES:
            place(verifier_address(name), partial(Witness, self, name))
        place(FIRST, partial(self._settlement, FIRST))
        if self.schedule.second_ms is not None:
            place(SECOND, partial(self._settlement, SECOND))
            self.runtime.watch(FIRST, self._second_too)
        for agent in (self.terms.buyer, self.terms.seller):
            place(f"agent:{agent}", partial(Signer, self, agent))
        self.runtime.watch(ROOM_AT, self._see)
        self._ask_rogue()
        place(ROOM_AT, self._make_room)

    def _make_room(self) -> Actor:
        config = RoomConfig(
            room=ROOM,
            hosting=Hosting(ROOM, 0),
            settlement=FIRST,
            watcher="watcher",
            venue=Venue(LEDGER, SET.version, 30_000),
            run_key=KEY,
        )
        self.room = RoomActor(config, self.store, self.vault, ScriptedNarrator(), SET)
        self.runtime.tell(ROOM_AT, Tick(self.room.room.round + 1))
        self.runtime.tell(ROOM_AT, AskAgain())
        return self.room

    def _settlement(self, address: str) -> SettlementActor:
        if address == FIRST:
            self.runtime.tell(ROOM_AT, AskAgain())
        return SettlementActor(address, "watcher", self.chain, self.vault, SET)

    def _second_too(self, message: Message) -> None:
        if isinstance(message, VerifyDeal):
            assert self.schedule.second_ms is not None
            self.runtime.tell(SECOND, Begin(ROOM, (message,)), self.schedule.second_ms)

    def _ask_rogue(self) -> None:
        scene = self.schedule.scene
        case = Case(terms=self.other, buyer=scene.buyer, seller=scene.seller, acceptances=scene.words(self.other))
        ask = AskVote(case, samples.START_MS, ROGUE)
        for name in sorted(self.schedule.rogue):
            self.runtime.tell(verifier_address(name), ask)

    def _see(self, message: Message) -> None:
        match message:
            case Verdict():
                self.verdicts.append(message)
            case Tick():
                self.round = message.round

    def _kill(self, address: str) -> None:
        self.runtime.rebuild(address)


class Witness:
    """Notes what a verifier says, and lets it take its time."""

    def __init__(self, world: World, name: str) -> None:
        schedule = world.schedule
        plan = VerifierPlan(name, verifier_keys(KEY, name), SET.version)
        view = View(world.chain, schedule.unreachable.get(name, 0), schedule.drained.get(name))
        parts = Parts(world.store, world.vault, MemoryVault(), view, ScriptedNarrator())
        fault = schedule.faults.get(name)
        make = plan.make if fault is None else FaultyPlan(fault, plan).make
        self._actor = make(verifier_address(name), parts)
        self._name = name
        self._world = world
        self._delays_ms = schedule.delays_ms.get(name, (0,))
        self._asked = 0

    def receive(self, message: Message) -> list[Send]:
        """Passes a question on."""
        sends = self._actor.receive(message)
        votes = [send.message.vote for send in sends if isinstance(send.message, VoteCast)]
        self._world.said += [Said(self._name, vote) for vote in votes]
        delay_ms = self._delays_ms[self._asked % len(self._delays_ms)]
        self._asked += 1
        return [send._replace(delay_ms=send.delay_ms + delay_ms) for send in sends]


class View(LedgerChain):
    """A verifier's own look at the one ledger: at first it may see nothing, later on an empty wallet."""

    def __init__(self, chain: LedgerChain, unreachable: int, drained_after: int | None) -> None:
        super().__init__()
        self._real = chain
        self._unreachable = unreachable
        self._drained_after = drained_after
        self._looks = 0

    def facts(self, case: Case, at_ms: int) -> Facts:
        if self._unreachable:
            self._unreachable -= 1
            raise ChainUnreachable("the chain does not answer")
        facts, drained = self._real.facts(case, at_ms), self._drained_after
        self._looks += 1
        if drained is not None and self._looks > drained:
            return msgspec.structs.replace(facts, balance_usdc_micros=0)
        return facts


class Signer:
    """An agent's host: its agent says nothing, and gives its word for the deal whatever its mandate says."""

    def __init__(self, world: World, agent: str) -> None:
        self._address = f"agent:{agent}"
        words = world.schedule.scene.words(world.terms)
        self._words = tuple(Accepted(world.terms.deal, word) for word in words if word.agent == agent)

    def receive(self, message: Message) -> list[Send]:
        """Answers a round."""
        assert isinstance(message, Decide)
        return [Send(ROOM_AT, Acts(message.round, self._address, (), self._words))]
