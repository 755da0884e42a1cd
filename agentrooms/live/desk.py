"""The desk: carries out what people ask of the running system, each command once, whatever dies in between.

A command becomes a deed, which is kept before anything is done. Doing it again changes nothing, so after a
crash the desk does again whatever has no answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from agentrooms.actors import messages
from agentrooms.chain.ledger import Provided
from agentrooms.domain import posting, verifier_set
from agentrooms.domain import swarm as swarms
from agentrooms.domain.collection import Collection
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted, WalletFueled
from agentrooms.domain.room import Room, RoomOpened
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import Verifier, VerifierSet, VerifierSetRegistered
from agentrooms.errors import AgentroomsError, InvalidInput, Rejection
from agentrooms.events.journal import Entry, Journal, fence, once
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import Conflict, EventStore, QueryItem
from agentrooms.events.tags import swarm_tag
from agentrooms.events.transact import transact
from agentrooms.events.vault import Vault, put_mandates
from agentrooms.live import commands, deeds
from agentrooms.live.commands import Answer, Command
from agentrooms.live.deciding import Deciding, Moment
from agentrooms.live.deeds import Deed, deed_cmd
from agentrooms.live.drafts import draft_entry
from agentrooms.live.inbox import Inbox, Sent, State
from agentrooms.live.overseer import Overseer
from agentrooms.live.wallets import check_secret
from agentrooms.live.watching import Order, is_alive
from agentrooms.services import failpoints

TAKEN_A_STEP = 100  # commands
MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
LOST_HINT = "another desk runs: stop one of the two"


class DeskLost(AgentroomsError):
    """Another desk writes the platform's chain."""


class Ledger(Protocol):
    """What the desk asks of the chain of mock wallets."""

    @property
    def site(self) -> Site:
        """The chain's id and addresses."""

    def provide(self, provided: Provided) -> None:
        """Gives money and items; the same key again changes nothing."""

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the escrow count certificates against this set."""


class Desk:
    """The one writer of the platform's chain in a living system. `recover` first, then `step` again and again.

    `tell` sends a room a message and may lose it; `open_room_actor` makes sure that a room's actor runs, also
    when it does already. Any method may raise StoreError or what those two raise; then a new desk goes on from there.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        vault: Vault,
        memory: Vault,
        chain: Ledger,
        inbox: Inbox,
        secret: bytes,
        tell: Callable[[str, messages.Message], None],
        open_room_actor: Callable[[str], None],
        clock_ms: Callable[[], int],
        admit: Callable[[Command], None] = lambda _command: None,
        mock_wallets: bool = True,
    ) -> None:
        """`admit` raises what says why the processes that a command needs cannot be started."""
        check_secret(secret)
        self.verifiers = VerifierSet()  # known after `recover`, before the first room opens
        self._store = store
        self._vault = vault
        self._memory = memory
        self._chain = chain
        self._inbox = inbox
        self._admit = admit
        self._tell = tell
        self._open_room_actor = open_room_actor
        self._clock_ms = clock_ms
        self._platform = Journal(store)
        self._overseer = Overseer(self._platform, vault, tell, clock_ms)
        self._deciding = Deciding(store, vault, secret, chain.site, self._overseer, mock_wallets=mock_wallets)
        self._taken = 0  # number of the last command taken
        self._waiting: dict[str, Deed] = {}  # commands whose order a room has not answered, or whose swarm still stops

    def recover(self, verifiers: Sequence[Verifier]) -> VerifierSet:
        """Takes up where the last desk ended: verifiers, money and items, rooms, swarms. Returns the verifier set."""
        history = self._platform.load()
        self.verifiers = self._register(tuple(verifiers))
        self._chain.register(self.verifiers)
        for provided in _provisions(history):
            self._chain.provide(provided)
        self._overseer.recover(history)
        for room in self._overseer.rooms.values():
            if not room.closed:
                self._open_room_actor(room.opened.room)
        return self.verifiers

    def _register(self, members: tuple[Verifier, ...]) -> VerifierSet:
        query = (QueryItem(tags=("verifiers",)),)
        current = _verifiers(self._platform.read(query))
        transact(
            self._platform,
            query,
            _verifiers,
            lambda known: verifier_set.register(known, self._chain.site.domain, members),
            at_ms=self._clock_ms(),
            cmd=f"desk:verifiers:{current.version + 1}",
        )
        return _verifiers(self._platform.read(query))

    # --- Commands ----------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Takes commands, gives orders, sees what came of them. Returns whether it took or finished anything."""
        self._overseer.look()
        taken = self._inbox.open(self._taken, TAKEN_A_STEP)
        for sent in taken:
            self._take(sent)
            self._taken = sent.number
        return bool(taken) | self._attend_all() | self._overseer.drive()

    def _attend_all(self) -> bool:
        done = [self._attend(command, deed) for command, deed in list(self._waiting.items())]
        return any(done)

    def outcome(self, room: str, command: str, refused_why: str | None) -> None:
        """Learns that a room has taken an order, or why it refused it."""
        deed = self._waiting.get(command)
        if deed is not None and deed.order is not None and deed.order.room == room:
            self._finish(command, deed.answer if refused_why is None else Answer(why=refused_why))
            return
        swarm = self._overseer.swarms.get(command.split(":")[1]) if command.startswith("desk:") else None
        if swarm is not None and refused_why is not None and swarm.state.room == room:
            swarm.refused(command)

    def passed(self, room: str, round_: int) -> None:
        """Learns from a room's frames where it is; without that the desk counts rounds by the clock."""
        known = self._overseer.rooms.get(room)
        if known is not None:
            known.passed(round_, self._clock_ms())

    def _take(self, sent: Sent) -> None:
        sha256 = hashlib.sha256(sent.body).hexdigest()
        try:
            command = commands.decode(sent.body)
            if command.id != sent.id:
                raise InvalidInput(
                    f"the command's id is not the inbox's {sent.id}", hint="send commands with `Inbox.send`"
                )
            deed = deeds.recall(self._vault, command.id)
            if deed is None:
                deed = self._decide(command, Moment(self._clock_ms(), sha256))
                deed = deeds.keep(self._vault, command.id, deed)
                failpoints.hit("desk.after_keep")
            deeds.require_same(deed, command.id, sha256)
        except (Rejection, InvalidInput) as refusal:
            self._finish(sent.id, Answer(why=str(refusal), hint=refusal.hint))
            return
        self._do(command.id, deed)

    def _decide(self, command: Command, moment: Moment) -> Deed:
        """Decides a deed. A command that trips over a mistake of ours is refused, or it would hold up all others."""
        try:
            self._admit(command)
        except AgentroomsError as error:
            raise Rejection(str(error), hint=error.hint) from error
        try:
            return self._deciding.decide(command, moment)
        except MISTAKES as error:
            why = f"the desk failed on this command ({type(error).__name__}); nothing was done"
            raise Rejection(why, hint="this is a mistake in the program: please report it") from error

    def _do(self, command: str, deed: Deed) -> None:
        """Does a deed, or what is left of it; each part is harmless when it is done again."""
        put_mandates(self._vault, deed.mandates)
        self._memory.put_many(deed.keys)
        if deed.draft is not None:
            self._vault.put_many(draft_entry(deed.draft))
        if deed.facts:
            self._append(deed_cmd(command), deed)
            failpoints.hit("desk.after_append")
        if deed.opens is not None:
            self._open(deed.opens)
        self._waiting[command] = deed
        self._attend(command, deed)

    def _append(self, cmd: str, deed: Deed) -> None:
        """Writes the platform's events of a deed, then gives the chain what they say that it gives."""
        for recorded in self._platform.load():
            self._overseer.learn(recorded)
        if not self._platform.is_done(cmd):
            entries = [Entry(fact.event) for fact in deed.facts]
            if isinstance(self._platform.append(entries, at_ms=deed.at_ms, cmd=cmd), Conflict):
                raise DeskLost(f"the platform's chain was written while {cmd} was", hint=LOST_HINT)
        done = [decode_line(found.event.data) for found in self._store.read(once(cmd))]
        for provided in _provisions(done):
            self._chain.provide(provided)
        for recorded in done:
            self._overseer.learn(recorded)

    def _open(self, opened: RoomOpened) -> None:
        terms = Collection(opened.collection, opened.collection, opened.comparable_by, opened.base_grade, active=True)
        transact(
            Journal(self._store, opened.room),
            fence(opened.room),
            partial(fold, Room()),
            lambda room: posting.open_room(room, opened, terms),
            at_ms=opened.started_at_ms,
            cmd=f"open:{opened.room}",
        )
        room = self._overseer.watch(opened)
        self._overseer.look()
        if not room.closed:
            self._open_room_actor(opened.room)

    def _attend(self, command: str, deed: Deed) -> bool:
        """Answers a command that is done; else gives its order again when it is time. Returns whether it is done."""
        order = deed.order
        if order is not None:
            return self._attend_order(command, order, deed.answer)
        swarm = self._overseer.swarms.get(deed.stops)
        if swarm is not None and is_alive(swarm):
            swarm.stopping = True
            return False
        deals = 0
        if deed.stops:
            deals = swarms.fold(self._platform.read((QueryItem(tags=(swarm_tag(deed.stops),)),))).deals_completed
        self._finish(command, msgspec.structs.replace(deed.answer, deals_completed=deals))
        return True

    def _attend_order(self, command: str, order: Order, answer: Answer) -> bool:
        room = self._overseer.rooms.get(order.room)
        if not self._overseer.is_due(order.id):
            return False
        if self._platform.is_done(order.id):
            self._finish(command, answer)
            return True
        if room is None or room.closed:
            self._finish(command, answer if order.verb == "close" else Answer(why=f"room {order.room} has closed"))
            return True
        self._tell(order.room, order.message())
        return False

    def _finish(self, command: str, answer: Answer) -> None:
        failpoints.hit("desk.before_answer")
        self._inbox.answer(command, State.REFUSED if answer.why else State.DONE, answer)
        self._waiting.pop(command, None)
        self._overseer.forget_order(command)


def _verifiers(events: Sequence[Event]) -> VerifierSet:
    state = VerifierSet()
    for event in events:
        assert isinstance(event, VerifierSetRegistered)
        state = verifier_set.evolve(state, event)
    return state


def _provisions(history: Iterable[Recorded]) -> list[Provided]:
    """Returns what the platform's events give on the chain, by command."""
    given: dict[str, Provided] = {}
    for recorded in history:
        cmd, event = recorded.cmd, recorded.event
        known = given.get(cmd, Provided(cmd))
        match event:
            case LedgerFunded():
                given[cmd] = msgspec.structs.replace(known, funds=(*known.funds, event))
            case LedgerMinted():
                given[cmd] = msgspec.structs.replace(known, mints=(*known.mints, event))
            case WalletFueled():
                given[cmd] = msgspec.structs.replace(known, fuels=(*known.fuels, event))
    return list(given.values())
