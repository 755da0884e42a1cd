"""A living system in one process: a real inbox and desk, real rooms on the local runtime, virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import AskAgain, Done, Message, Pace, Refused, Tick
from agentrooms.actors.plans import Parts, RoomPlan, SettlementPlan, room_address, settlement_address, verifier_plans
from agentrooms.actors.room import RoomActor, RoomConfig
from agentrooms.actors.runtime import Actor, LocalRuntime
from agentrooms.chain.ledger import LedgerChain
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import Room
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import PLATFORM, decode_line
from agentrooms.events.store import EventStore, QueryItem
from agentrooms.events.tags import chain_tag
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.language import ScriptedNarrator
from agentrooms.live.commands import Answer, Command
from agentrooms.live.desk import Desk
from agentrooms.live.inbox import Inbox, State
from agentrooms.live.wallets import room_key, subkey

SECRET = bytes(range(32))
STARTED_AT_MS = 1_700_000_000_000
STEP_MS = 250  # between two steps of the desk
DEAL_MS = 60_000
WATCHER = "watcher"


class Crash(Exception):
    """The desk's process dies."""


class World:
    """All parts of it; `desk` may die and be made anew at any call that it makes."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        store: EventStore | None = None,
        vault: Vault | None = None,
        crash_at: int | None = None,
        mock_wallets: bool = True,
    ) -> None:
        self.inbox = inbox
        self.mock_wallets = mock_wallets
        self.store: EventStore = store if store is not None else MemoryEventStore()
        self.vault: Vault = vault if vault is not None else MemoryVault()
        self.memory = MemoryVault()
        self.chain = LedgerChain(self.memory)
        self._parts = Parts(self.store, self.vault, self.memory, self.chain, ScriptedNarrator())
        self.runtime = LocalRuntime(self._make)
        self.runtime.watch(WATCHER, self._watched)
        self.paces: list[tuple[str, int]] = []
        self.lost: Callable[[Message], bool] = lambda _message: False  # which messages to and from rooms get lost
        self.reports = True  # whether the desk is told where rooms are
        self.calls = 0
        self.crash_at = crash_at  # the call after which the desk's process dies, before it can note the result
        self.crashes = 0
        self.rooms: dict[str, RoomActor] = {}
        key = subkey(SECRET, "verifiers")
        self._verifiers = {plan.name: plan for plan in verifier_plans(key, 1)}
        self.members = tuple(plan.member for plan in self._verifiers.values())
        self.restart()

    # --- The desk and how it dies ------------------------------------------------------------------------

    def make_desk(self) -> Desk:
        """A new desk on what is there."""
        self.desk = Desk(
            store=_Dying(self, self.store, "append"),
            vault=_Dying(self, self.vault, "put", "put_many"),
            memory=_Dying(self, self._parts.memory, "put", "put_many"),
            chain=_Dying(self, self.chain, "provide", "register"),
            inbox=_Dying(self, self.inbox, "answer"),  # type: ignore[arg-type]
            secret=SECRET,
            tell=self._dying(self._tell),
            open_room_actor=self._dying(self._open_room_actor),
            clock_ms=self.clock_ms,
            mock_wallets=self.mock_wallets,
        )
        self.set = self.desk.recover(self.members)
        return self.desk

    def _desk_step(self) -> None:
        if self.reports:
            for room, actor in self.rooms.items():
                self.desk.passed(room, actor._done)
        self.desk.step()

    def _dying(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def dies(*arguments: object, **named: object) -> Any:
            result = call(*arguments, **named)
            self.calls += 1
            if self.calls == self.crash_at:
                raise Crash
            return result

        return dies

    def _tell(self, room: str, message: Message) -> None:
        if self.lost(message):
            return
        if isinstance(message, Pace):
            self.paces.append((room, message.speed))
        else:
            self.runtime.tell(room_address(room), message)

    def clock_ms(self) -> int:
        """The wall clock."""
        return STARTED_AT_MS + self.runtime.now_ms

    # --- Rooms -------------------------------------------------------------------------------------------

    def _open_room_actor(self, room: str) -> None:
        if room not in self.rooms:
            actor = self._make(room_address(room))
            assert isinstance(actor, RoomActor)
            self.rooms[room] = actor
            self.runtime.place(room_address(room), lambda: actor)
            self.runtime.tell(room_address(room), Tick(actor.room.round + 1))

    def _make(self, address: str) -> Actor:
        kind, _, name = address.partition(":")
        if kind == "verifier":
            return self._verifiers[name].make(address, self._parts)
        if kind == "settlement":
            self.runtime.tell(room_address(name), AskAgain())
            return SettlementPlan(self.set, WATCHER).make(address, self._parts)
        room = {"room": name, "host": name.partition(":")[0]}.get(kind) or self.room_of(name)
        config = RoomConfig(
            room=room,
            hosting=Hosting(room, 1),
            settlement=settlement_address(room),
            watcher=WATCHER,
            venue=Venue(self.chain.site, self.set.version, DEAL_MS),
            run_key=room_key(SECRET, room),
            patient=False,
        )
        return RoomPlan(config, self.set).make(address, self._parts)

    def _watched(self, message: Message) -> None:
        if self.lost(message):
            return
        if isinstance(message, Done):
            done = message
            self._survive(lambda: self.desk.outcome(done.room, done.id, None))
        elif isinstance(message, Refused):
            refused = message
            self._survive(lambda: self.desk.outcome(refused.room, refused.id, refused.why))

    def _survive(self, call: Callable[[], object]) -> None:
        """Calls the desk; when it dies, makes it anew and has it do its next step at once."""
        try:
            call()
        except Crash:
            self.crashes += 1
            self.make_desk()
            self._desk_step()

    # --- What a test does --------------------------------------------------------------------------------

    def send(self, command: Command) -> str:
        """Sends a command twice: it has one effect."""
        assert self.inbox.send(command).id == self.inbox.send(command).id
        return command.id

    def pass_ms(self, ms: int) -> None:
        """Lets the rooms live for a while."""
        end = self.runtime.now_ms + ms
        while (at := self.runtime.next_at_ms()) is not None and at <= end:
            self.runtime.step()
        self.runtime.now_ms = end

    def restart(self) -> None:
        """Makes the desk anew."""
        self._survive(self.make_desk)

    def step(self) -> None:
        """One step of the desk, then a moment of life."""
        self._survive(self._desk_step)
        self.pass_ms(STEP_MS)

    def until(self, done: Callable[[], bool], steps: int = 4_000) -> None:
        """Steps until something is so."""
        for _step in range(steps):
            if done():
                return
            self.step()
        raise AssertionError(f"it is not so after {steps} steps")

    def ask(self, command: Command) -> Answer:
        """Sends a command and returns its answer."""
        self.send(command)
        self.until(lambda: self.inbox.get(command.id).state is not State.OPEN)
        answer = self.inbox.get(command.id).answer
        assert answer is not None
        return answer

    # --- What a test sees --------------------------------------------------------------------------------

    def room(self, room: str) -> Room:
        """The room as its log has it."""
        return fold(Room(), self.events(room))

    def events(self, chain: str = PLATFORM) -> list[Event]:
        """All events of a chain."""
        found = self.store.read((QueryItem(tags=(chain_tag(chain),)),))
        return [decode_line(one.event.data).event for one in found]

    def count(self, kind: type[Event], chain: str = PLATFORM) -> int:
        """How many events of a type a chain has."""
        return sum(isinstance(event, kind) for event in self.events(chain))

    def lines(self) -> list[bytes]:
        """The whole log."""
        return [found.event.data for found in self.store.read()]

    def room_of(self, agent: str) -> str:
        """The room an agent is in."""
        return decode_line(self.store.read((QueryItem(tags=(f"agent:{agent}",)),), limit=1)[0].event.data).chain


class _Dying:
    """A part of the system whose named calls may be the last thing the desk does."""

    def __init__(self, world: World, part: object, *names: str) -> None:
        self._world, self._part, self._names = world, part, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._world._dying(found) if name in self._names else found
