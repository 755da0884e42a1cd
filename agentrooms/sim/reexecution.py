"""Re-execution of a live room: its real actors decide again, from the inputs that its log recorded.

What came from outside is fed at its round: people's commands, votes, receipts, a model's words, and what other
rooms locked. Everything else is decided anew, by the room and its agents, and must come out to the byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from agentrooms.actors import messages
from agentrooms.actors.agent_host import AgentHost
from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import CheckExpiry, Execute, Message, Outcome, Resubmitted, Tick, Verdict, VerifyDeal
from agentrooms.actors.room import RoomActor, RoomConfig, RoomLost
from agentrooms.actors.runtime import Actor, Send
from agentrooms.actors.wording import MODEL, SCRIPTED
from agentrooms.domain.agent import Agent, AgentSpawned
from agentrooms.domain.deal import (
    Acceptance,
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealVerifying,
    EscrowSubmitted,
    FailReason,
    Misbehaviour,
    Terms,
    VerifierAccused,
)
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import ActPosted, CloseReason, Room, RoomClosed
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet, VerifierSetRegistered, evolve
from agentrooms.errors import AgentroomsError
from agentrooms.events.journal import Journal
from agentrooms.events.record import Recorded
from agentrooms.events.vault import NotInVault, Vault, get_mandate
from agentrooms.language import Cue, ScriptedNarrator, Wording
from agentrooms.sim.recording import Due, Parted, Recording, command_of

ROUNDS_MAX = 1_000_000  # of one archive: more than a week of seconds
DEAL_MS = 60_000  # for a room that locks no deal
PROGRESS_ROUNDS = 1_000  # between two reports of progress
SETTLEMENT, WATCHER = "settlement", "watcher"

Entry = tuple[int, Recorded]


class Found(msgspec.Struct, frozen=True):
    """The first line that does not come out again; `why` says more where nothing came out at all."""

    line: int
    recorded: bytes | None
    recomputed: bytes | None
    why: str = ""


def reexecute(
    entries: Sequence[Entry], room: str, vault: Vault, key: bytes, progress: Callable[[int], None]
) -> Found | None:
    """Returns the first line of a room that its actors do not write again, None when they write all of them.

    `entries` are the numbered lines of the room, of the roomless chain and of other rooms, in the log's order; `key` is
    the room's. `progress` is told the room's lines done.
    """
    recording = Recording(entries, room)
    try:
        _Rehearsal(recording, _Inputs(entries, room), vault, key).run(progress)
    except Parted as parted:
        return Found(parted.line, parted.recorded, parted.recomputed, parted.why)
    return None


class _Setting(NamedTuple):
    """What a room is told from outside the log, and that its log shows: it is built anew when this changes.

    Whether a room closes when it is empty shows only in the round in which it does.
    """

    venue: Venue
    worded: bool
    closing: bool


class _OneHost(Hosting, frozen=True):
    """All agents in one place: where they are hosted changes no byte."""

    def host_of(self, agent: Agent) -> str:
        """Returns the one host's address."""
        return f"host:{self.room}"


class _Words:
    """A narrator that says what was said: a model's lines; where the log has a fallback, it fails as the model did."""

    def __init__(self) -> None:
        self._acts: Sequence[ActPosted] = ()
        self._next = 0

    def due(self, acts: Sequence[ActPosted]) -> None:
        """Turns to the acts of a round, or to their beginning once more."""
        self._acts, self._next = acts, 0

    def word(self, cue: Cue, pick: Callable[[int], int], recent: object) -> str:
        """Returns the recorded line of the act whose turn it is."""
        act = self._acts[self._next] if self._next < len(self._acts) else None
        self._next += 1
        if act is None or act.wording != MODEL:
            raise AgentroomsError("no line of a model is recorded here")
        return act.text


class _Inputs:
    """What the log recorded of settlement: agents' words, votes, transactions and ends by deal."""

    def __init__(self, entries: Sequence[Entry], room: str) -> None:
        self.sets: dict[int, VerifierSet] = {}
        self.first_lock: Venue | None = None
        self.first_mandate = ""
        self._accepted: dict[str, tuple[Acceptance, ...]] = {}
        for _number, recorded in entries:
            event = recorded.event
            if isinstance(event, VerifierSetRegistered):
                self.sets[event.version] = evolve(VerifierSet(), event)
            elif recorded.chain == room:
                self._take(recorded)

    def _take(self, recorded: Recorded) -> None:
        match recorded.event:
            case AgentSpawned() as event:
                self.first_mandate = self.first_mandate or event.mandate_hash
            case DealLocked():
                self.first_lock = self.first_lock or venue_of(recorded)
            case DealVerifying() as event:
                self._accepted[event.deal] = event.acceptances

    def sign(self, agent: str, terms: Terms) -> Acceptance | None:
        """Returns an agent's word as it was recorded: its keys are in no archive."""
        return next((one for one in self._accepted.get(terms.deal, ()) if one.agent == agent), None)

    def settled(self, due: Due) -> list[Message]:
        """Returns what settlement told the room in a round.

        When it came was not the room's to decide: verifiers may have been silent for long, the chain slow.
        """
        events = [recorded.event for _number, recorded in due.lines]
        certified = {event.deal for event in events if isinstance(event, DealCertified)}
        hashes = {event.deal: event.tx_hash for event in events if isinstance(event, EscrowSubmitted)}
        evidence: dict[str, list[Misbehaviour]] = {}
        told: list[Message] = []
        for event in events:
            match event:
                case VerifierAccused():
                    evidence.setdefault(event.deal, []).append(event.evidence)
                case DealCertified():  # without a hash where the log ends before it: nothing after is compared
                    proven = tuple(evidence.get(event.deal, ()))
                    told.append(Verdict(event.deal, event.votes, hashes.get(event.deal, ""), proven))
                case EscrowSubmitted() if event.deal not in certified:
                    told.append(Resubmitted(event.deal, event.tx_hash))
                case DealCompleted():
                    told.append(Outcome(event.deal, event.receipt, None, ""))
                case DealFailed() if event.reason is FailReason.EXPIRED:
                    told.append(Outcome(event.deal, None, event.reason, event.detail))
        return told

    def verifiers(self, venue: Venue) -> VerifierSet:
        """Returns the set that certificates of a venue count against."""
        return self.sets.get(venue.set_version, VerifierSet())


class _Rehearsal:
    """The room, one host for all its agents, and everything else as it was recorded."""

    def __init__(self, recording: Recording, inputs: _Inputs, vault: Vault, key: bytes) -> None:
        self._recording = recording
        recording.again = self._rewind
        self._inputs = inputs
        self._vault = vault
        self._key = key
        self._room_id = recording.room
        self._hosting = _OneHost(self._room_id, 1)
        self._words = _Words()
        latest = max(inputs.sets.values(), key=lambda s: s.version, default=VerifierSet())
        site = Site(latest.chain_id, latest.escrow, _currency(vault, inputs.first_mandate), "")
        nowhere = Venue(site, latest.version, DEAL_MS)  # no deal of the log tells more
        self._setting = _Setting(inputs.first_lock or nowhere, worded=False, closing=False)
        self._room = self._build()
        self._host: Actor = AgentHost(
            f"host:{self._room_id}", self._hosting, vault, key, Journal(recording, self._room_id), inputs
        )

    def run(self, progress: Callable[[int], None]) -> None:
        """Plays all rounds up to the last recorded one. Raises Parted at the first line that differs."""
        played = 0
        while (due := self._recording.due) is not None:
            done = self._recording.done_round
            if due.round <= done:
                raise Parted(due, None, f"round {due.round} comes after round {done}")
            for round_ in self._silent(done + 1, due.round):
                played += 1
                if played > ROUNDS_MAX:
                    raise Parted(due, None, f"the archive has more than {ROUNDS_MAX:,} rounds")
                if played % PROGRESS_ROUNDS == 0:
                    progress(due.lines[0][1].seq)
                self._play(round_, ())
            self._prepare(due)
            self._play(due.round, self._inputs_of(due))
            progress(due.lines[-1][1].seq)

    def _silent(self, first: int, end: int) -> Iterator[int]:
        """Yields the rounds in between; an empty room is silent without being asked."""
        for round_ in range(first, end):
            room = self._room.room
            if not room.live_deals() and not any(agent.present for agent in room.agents.values()):
                return
            yield round_

    def _prepare(self, due: Due) -> None:
        """Tells the room what it was told before this round: venue, narrator, whether it closes when empty."""
        events = [recorded.event for _number, recorded in due.lines]
        venues = [venue_of(r) for _number, r in due.lines if isinstance(r.event, DealLocked)]
        wordings = {event.wording for event in events if isinstance(event, ActPosted)}
        setting = _Setting(
            venue=venues[0] if venues else self._setting.venue,
            worded=bool(wordings - {SCRIPTED}) if wordings else self._setting.worded,
            closing=any(isinstance(e, RoomClosed) and e.reason is CloseReason.ALL_AGENTS_LEFT for e in events),
        )
        if setting != self._setting:
            self._setting = setting
            self._room = self._build()
        self._rewind()

    def _build(self) -> RoomActor:
        venue, worded, closing = self._setting
        narrator: Wording = self._words if worded else ScriptedNarrator()
        config = RoomConfig(
            room=self._room_id,
            hosting=self._hosting,
            settlement=SETTLEMENT,
            watcher=WATCHER,
            venue=venue,
            run_key=self._key,
            patient=False,
            close_when_empty=closing,
        )
        return RoomActor(config, self._recording, self._vault, narrator, self._inputs.verifiers(venue))

    def _rewind(self) -> None:
        """Turns the narrator to the beginning of the round that is due."""
        due = self._recording.due
        events = (r.event for _n, r in due.lines) if due is not None else ()
        self._words.due([event for event in events if isinstance(event, ActPosted)])

    def _inputs_of(self, due: Due) -> list[Message]:
        return [*self._inputs.settled(due), *commands_of(due)]

    def _play(self, round_: int, inputs: Sequence[Message]) -> None:
        """Plays one round; when it does not come out as recorded, with more of what other rooms had done by then."""
        while True:
            due = self._recording.due
            try:
                over = self._deliver([*inputs, Tick(round_)])
            except RoomLost:
                over = False
            if due is None or self._recording.due is not due or (over and due.round > round_):
                return
            if not self._recording.reveal():
                why = "nothing comes out in this round" if over else f"round {round_} waits for more than is recorded"
                raise Parted(due, None, why)
            self._room = self._build()

    def _deliver(self, told: Sequence[Message]) -> bool:
        """Lets the actors speak until none has anything to say; tells whether the round is over."""
        queue = deque(Send(f"room:{self._room_id}", message) for message in told)
        over = False
        while queue:
            to, message, delay_ms = queue.popleft()
            if delay_ms:
                over = True  # the tick of the next round, which is ours to give
            elif to == SETTLEMENT:
                assert isinstance(message, VerifyDeal | Execute | CheckExpiry)  # what it answered enters by `settled`
            elif to != WATCHER:
                queue.extend((self._room if to.startswith("room:") else self._host).receive(message))
        return over or self._closed(self._room.room)

    @staticmethod
    def _closed(room: Room) -> bool:
        return bool(room.id) and room.status == "inactive"


def _currency(vault: Vault, mandate_hash: str) -> str:
    """Returns the currency of a mandate, which is that of its room; "" where there is none."""
    try:
        return get_mandate(vault, mandate_hash).mandate.currency
    except NotInVault:
        return ""


def venue_of(locked: Recorded) -> Venue:
    """Returns the venue a lock was made at."""
    event = locked.event
    assert isinstance(event, DealLocked)
    terms = event.terms
    site = Site(terms.chain_id, terms.escrow, terms.currency, terms.collection)
    return Venue(site, terms.set_version, terms.deadline_ms - locked.at_ms)


def commands_of(due: Due) -> list[Message]:
    """Returns the commands of people that a round took, in their order; one may have caused several events."""
    found = (command_of(recorded) for _number, recorded in due.lines)
    wanted = [command for command, _effects in groupby(command for command in found if command is not None)]
    return [messages.Scheduled(due.round, command, order) for order, command in enumerate(wanted)]
