"""A log as a living system writes it: one platform chain that grows, two rooms that trade the same items.

The same wallets have agents in both rooms, so that one room's locks stand against the other's. People send
commands with ids while it runs; a room and a host are killed and made anew; one room closes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import (
    AskAgain,
    AskVote,
    Close,
    Command,
    Message,
    Pause,
    Reconfigure,
    Refused,
    Remove,
    Resume,
    Spawn,
    Speak,
    Tick,
)
from agentrooms.actors.plans import (
    Parts,
    RoomPlan,
    SettlementPlan,
    VerifierPlan,
    room_address,
    settlement_address,
    verifier_address,
    verifier_keys,
)
from agentrooms.actors.room import RoomConfig
from agentrooms.actors.runtime import Actor, LocalRuntime, Send
from agentrooms.chain.ledger import LEDGER, LedgerChain
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.collection import CollectionRegistered
from agentrooms.domain.event import Event
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.keys import derive_key
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import SignedMandate, mandate_hash
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import PersonSpoke
from agentrooms.domain.terms import StrategyName
from agentrooms.domain.user import UserRegistered, WalletBudgeted, user_id
from agentrooms.domain.verifier_set import VerifierSetRegistered
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.keyring import Keyring
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import Recorded
from agentrooms.events.vault import MemoryVault, put_mandate
from agentrooms.language import Cue, ScriptedNarrator, Wording
from agentrooms.sim.live_archive import export_room
from tests.domain import samples
from tests.domain.samples import USDC

A, B = "room_a", "room_b"
KEYS = {room: seed_bytes(f"{room}/0") for room in (A, B)}
SIGNER = derive_key(seed_bytes("installation"), "archive", "")
BUYERS, SELLERS = 7, 6
POOR = "b0"  # its wallet cannot pay: deals of its agents are rejected
UNSEEN = "3"  # three verifiers say nothing on deals of this item until room B is made anew
ROUNDS = 110
CLOSED = 95  # the round in which room A closes
DEAL_MS = 25_000


class Model:
    """Stands for a model: it words most acts in its own way, and fails at some."""

    def word(self, cue: Cue, pick: Callable[[int], int], recent: object) -> str:
        """Returns a line that depends on the cue alone."""
        del pick, recent
        assert len(cue.counterpart) + cue.price_usdc_micros % 7 != 3, "the model is not there now"
        return f"So I say: {cue.act.value}, {cue.mood.value}."


class System:
    """Two rooms on one log, run to their end when made."""

    def __init__(self, narrator: Wording | None = None, seed: int = 0, *, silent: bool = False) -> None:
        """`seed` gives the rooms other keys and the agents other strategies; in `silent` rooms no person speaks."""
        self.seed = seed
        self._silent = silent
        self._model = narrator
        self.blind = True
        self.keys = {room: seed_bytes(f"{room}/{seed}") for room in (A, B)}
        self.store, self.vault, self.chain = MemoryEventStore(), MemoryVault(), LedgerChain()
        self.parts = Parts(
            self.store, self.vault, MemoryVault(), self.chain, narrator if narrator is not None else ScriptedNarrator()
        )
        self.refused: list[Refused] = []
        self._platform_writes = 0
        collection = CollectionRegistered(samples.COLLECTION, "Samples", "grade", "common")
        self.platform(
            VerifierSetRegistered(samples.SET.chain_id, samples.SET.escrow, samples.SET.verifiers, 1), collection
        )
        self.chain.register(samples.SET)
        for n in range(BUYERS):
            self.fund(f"b{n}", 20 if f"b{n}" == POOR else 130)
        for n in range(1, SELLERS + 1):
            self.mint(n)
        self.runtime = LocalRuntime(self._make)
        self.runtime.watch("watcher", self._watch)
        self._rounds: dict[str, int] = {}
        self._todo: dict[tuple[str, int], list[Command]] = {}
        self._plans: dict[str, RoomPlan] = {}
        self._open()

    def platform(self, *events: Event) -> None:
        """Appends to the roomless chain."""
        self._platform_writes += 1
        journal = Journal(self.store)
        journal.load()
        journal.append([Entry(e) for e in events], at_ms=self._platform_writes, cmd=f"desk:{self._platform_writes}")

    def fund(self, name: str, usdc: int) -> None:
        """Gives a wallet money and a budget."""
        wallet, micros = samples.wallet(name), usdc * USDC
        funds = LedgerFunded(micros, micros, wallet)
        self.chain.fund(funds)
        self.platform(UserRegistered(user_id(wallet), wallet), WalletBudgeted(wallet, 130 * USDC), funds)

    def mint(self, number: int) -> None:
        """Gives a wallet an item."""
        item = samples.item(number)
        mint = LedgerMinted(
            approved=True,
            collection=samples.COLLECTION,
            owner=samples.wallet(f"s{number}"),
            token_id=item.token_id,
            traits=item.traits,
        )
        self.chain.mint(mint)
        self.platform(mint)

    def spawn(self, room: str, name: str, mandate: SignedMandate, round_: int, strategy: StrategyName) -> None:
        """Schedules an agent."""
        put_mandate(self.vault, mandate)
        made: AgentSpawned = samples.spawned(f"agent_{name}{room[-1]}", mandate)
        keyring = Keyring(self.parts.memory, self.keys[room])
        self.parts.memory.put(*keyring.seal(made.agent, samples.agent_keys(name)))
        self.tell(room, round_, Spawn(msgspec.structs.replace(made, strategy=strategy), f"spawn-{room}-{name}"))

    def tell(self, room: str, round_: int, command: Command) -> None:
        """Has somebody send a command right before a round."""
        self._todo.setdefault((room, round_), []).append(command)

    def told(self, room: str, round_: int) -> list[Command]:
        """Returns what is sent right before a round."""
        return self._todo.get((room, round_), [])

    def run(self) -> System:
        """Runs both rooms; kills on the way what must be made anew."""
        first, second = 30 + self.seed % 7, 61 - self.seed % 11
        kills = {first: (room_address(A), f"agent:agent_b1{A[-1]}"), second: (room_address(B), room_address(A))}
        while self.runtime.step():
            self.blind = second in kills
            for round_ in [n for n in kills if self._rounds.get(A, 0) >= n]:
                self._change_narrator()
                for address in kills.pop(round_):
                    self.runtime.rebuild(address)
                    if address.startswith("room:"):
                        room = address.removeprefix("room:")
                        self.runtime.tell(address, Tick(self._rounds[room]))
                self.fund(f"late{round_}", 10)
        return self

    def export(self, room: str, out: Path, *, first: int = 1, last: int | None = None, opened: bool = False) -> Path:
        """Writes a room's archive and returns its folder."""
        key = self.keys[room] if opened else None
        export_room(
            self.store, self.vault, room, first=first, last=last, opened=opened, key=SIGNER, room_key=key, out=out
        )
        return out

    def lines(self, room: str) -> list[Recorded]:
        """Returns a room's chain."""
        return Journal(self.store, room).load()

    def _change_narrator(self) -> None:
        """Has rooms that are made anew worded otherwise: by a model instead of scripts, or the other way."""
        if self._model is not None:
            scripted = isinstance(self.parts.narrator, ScriptedNarrator)
            self.parts = replace(self.parts, narrator=self._model if scripted else ScriptedNarrator())

    def _open(self) -> None:
        for room, start in ((A, 0), (B, 5_000)):
            opened = samples.opened(room)
            opened = msgspec.structs.replace(opened, started_at_ms=opened.started_at_ms + start)
            Journal(self.store, room).append([Entry(opened)], at_ms=opened.started_at_ms, cmd=f"open:{room}")
            self._place(room)
            _people(self, room)
            if not self._silent:
                _talk(self, room)
            self.runtime.tell(room_address(room), Tick(1))

    def _place(self, room: str) -> None:
        config = RoomConfig(
            room=room,
            hosting=Hosting(room, 0),
            settlement=settlement_address(room),
            watcher="watcher",
            venue=Venue(LEDGER, 1, DEAL_MS),
            run_key=self.keys[room],
            patient=False,
        )
        plan = RoomPlan(config, samples.SET)
        self._plans[room] = plan
        self.runtime.place(room_address(room), partial(_Stopping, plan, self))
        place = settlement_address(room)
        self.runtime.place(place, partial(SettlementPlan(samples.SET, "watcher").make, place, self.parts))

    def _make(self, address: str) -> Actor:
        kind, _, name = address.partition(":")
        if kind == "verifier":
            plan = VerifierPlan(name, verifier_keys(samples.KEY, name), 1)
            made = plan.make(verifier_address(name), self.parts)
            return _Blind(made, self) if name < "verifier_4" else made
        return self._plans[f"room_{name[-1]}"].make(address, self.parts)

    def _watch(self, message: Message) -> None:
        if isinstance(message, Refused):
            self.refused.append(message)

    def ticked(self, room: str, round_: int) -> list[Command] | None:
        """Notes a room's round and returns what people send right before it, None after the test's last round."""
        self._rounds[room] = max(round_, self._rounds.get(room, 0))
        return self._todo.get((room, round_), []) if round_ <= ROUNDS else None


class _Stopping:
    """A room that no tick reaches after the test's last round, and whose settlement knows it after a death."""

    def __init__(self, plan: RoomPlan, system: System) -> None:
        self._room, self._system = plan.config.room, system
        self._actor = plan.make(room_address(self._room), system.parts)
        for send in self._actor.receive(AskAgain()):
            system.runtime.tell(*send)

    def receive(self, message: Message) -> list[Send]:
        """Hands the message on."""
        if not isinstance(message, Tick):
            return self._actor.receive(message)
        commands = self._system.ticked(self._room, message.round)
        if commands is None:
            return []
        return [send for told in (*commands, message) for send in self._actor.receive(told)]


class _Blind:
    """A verifier that is blind for one item for a while."""

    def __init__(self, actor: Actor, system: System) -> None:
        self._actor, self._system = actor, system

    def receive(self, message: Message) -> list[Send]:
        """Hands the question on, unless it is about that item."""
        assert isinstance(message, AskVote)
        return [] if self._system.blind and message.terms.item.token_id == UNSEEN else self._actor.receive(message)


def _talk(system: System, room: str) -> None:
    """What people say: now and then, many at once, and more in a minute than they may."""
    for n in (*range(5, 90, 17), *[40] * 12):
        wallet = samples.wallet(f"p{n % 3}")
        spoke = PersonSpoke(0, f"Is that all, after {n} rounds?", user_id(wallet), wallet)
        system.tell(room, n, Speak(spoke, f"say-{room}-{len(system.told(room, n))}-{n}"))


def _people(system: System, room: str) -> None:
    """What people want of a room."""
    strategies = list(StrategyName)
    other = 7 if room == B else 0
    shift = other + system.seed
    for n in range(BUYERS):
        limit = (85 + 5 * n) * USDC
        mandate = samples.buyer_mandate(f"b{n}", reservation_usdc_micros=limit, salt=f"{n + other:064x}")
        system.spawn(room, f"b{n}", mandate, 1 + n, strategies[(n + shift) % len(strategies)])
    for n in range(1, SELLERS + 1):
        limit = (45 + 5 * n) * USDC
        start = limit * 6 // 5
        mandate = samples.seller_mandate(
            f"s{n}",
            item=samples.item(n),
            reservation_usdc_micros=limit,
            start_usdc_micros=start,
            salt=f"{64 + n + other:064x}",
        )
        system.spawn(room, f"s{n}", mandate, 2 + n, strategies[(2 * n + shift) % len(strategies)])
    suffix = room[-1]
    remandate = samples.buyer_mandate(POOR, reservation_usdc_micros=90 * USDC, salt=f"{99 + other:064x}")
    put_mandate(system.vault, remandate)
    new = mandate_hash(remandate.mandate)
    said: Sequence[tuple[int, Command]] = (
        (9, Pause(f"agent_b1{suffix}", f"pause-{room}")),
        (16, Resume(f"agent_b1{suffix}", f"resume-{room}")),
        (16, Resume(f"agent_b1{suffix}", f"resume-{room}")),
        (12, Reconfigure(f"agent_b0{suffix}", mandate_hash=new, id=f"remandate-{room}")),
        (14, Reconfigure(f"agent_b2{suffix}", StrategyName.AGGRESSIVE, id=f"change-{room}")),
        (20, Remove("agent_nobody", id=f"wrong-{room}")),
        (80, Remove(f"agent_b0{suffix}", id=f"remove-{room}")),
    )
    for round_, command in said:
        system.tell(room, round_, command)
    if room == A:
        system.tell(room, CLOSED, Close("close-a"))
