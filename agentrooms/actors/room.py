"""The room actor: the single writer of a room's events. News out, acts in, seeded order, one append a round.

What is decided is in `domain/`; this is the shell: it asks, waits for all, clears and appends.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentrooms.actors import clearing, messages
from agentrooms.actors.clearing import Cleared, Clearing
from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import Acts, AskAgain, Committed, Decide, Message, Outcome, Resubmitted, Tick, Verdict
from agentrooms.actors.runtime import Send
from agentrooms.actors.settling import Settling
from agentrooms.domain.agent import AgentLeft, AgentSpawned
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import Room, RoomStatus
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.errors import AgentroomsError
from agentrooms.events.catalogue import BY_TYPE
from agentrooms.events.journal import Journal
from agentrooms.events.store import Conflict, EventStore
from agentrooms.events.vault import Vault
from agentrooms.language import Wording
from agentrooms.services import failpoints

SECOND_MS = 1_000
MAILBOX_MAX = 10_000  # commands waiting for the next round
CLEARINGS_MAX = 8  # times a round is cleared anew after losing a lock to another room


class RoomLost(AgentroomsError):
    """Another writer has taken this room over, or its round cannot be appended."""


class RoomConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a room actor is told once. A `patient` room waits for settlement's answers at drawn rounds (virtual time)."""

    room: str
    hosting: Hosting
    settlement: str
    watcher: str
    venue: Venue
    run_key: bytes
    patient: bool = True
    close_when_empty: bool = False


class RoomActor:
    """One room. Built from the log; commands wait in its mailbox for the next round."""

    def __init__(
        self,
        config: RoomConfig,
        store: EventStore,
        vault: Vault,
        narrator: Wording,
        verifiers: VerifierSet,
        schedule: tuple[messages.Scheduled, ...] = (),
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """`schedule` are the commands of a run that are known from its start; a live room has the wall's `clock_ms`."""
        self._clock_ms = clock_ms
        self._config = config
        self._journal = Journal(store, config.room)
        self._settling = Settling(config.run_key, config.settlement, verifiers, patient=config.patient)
        self._clearing = Clearing(self._journal, vault, narrator, config.venue, config.run_key)
        self._acts: dict[str, Acts] = {}
        self._round = -1
        self._asked = False
        self.room = fold(Room(), (r.event for r in self._journal.load()))
        self._news: tuple[Event, ...] = ()  # hosts read in the log what was said before
        self._news_seq = self._journal.head.seq
        self._hosts = config.hosting.hosts_of(self.room)
        self._done = self.room.round
        self._mailbox = [waiting for waiting in schedule if max(1, waiting.round) > self._done]

    def receive(self, message: Message) -> list[Send]:
        """Handles a tick, a host's acts, settlement's answers or a person's command."""
        match message:
            case Tick():
                if message.round <= self._done:
                    return []
                self._round, self._asked, self._acts = message.round, False, {}
                self._look_at_clock(message.round)
                return [*self._settling.jobs(self.room, message.round), *self._run()]
            case Acts():
                if message.round == self._round and message.host in self._hosts:
                    self._acts[message.host] = message
                return self._run()
            case Verdict() | Outcome() | Resubmitted():
                at = max(self._round, self._done)
                self._settling.learn(message, at)
                return [*self._settling.jobs(self.room, at), *self._run()]
            case AskAgain():
                return [self._settling.begin(self._config.room)]
        if isinstance(message, messages.Command):
            message = messages.Scheduled(self._done + 1, message)
        assert isinstance(message, messages.Scheduled)
        if self.room.id and self.room.status is RoomStatus.INACTIVE:
            return [self._refuse(message.command, "the room is closed")]
        id_ = message.command.id
        if id_ and any(waiting.command.id == id_ for waiting in self._mailbox):
            return []  # sent again while it waits
        if len(self._mailbox) >= MAILBOX_MAX:
            return [self._refuse(message.command, f"{MAILBOX_MAX} commands wait; send them more slowly")]
        self._mailbox.append(message)
        return []

    def _look_at_clock(self, round_: int) -> None:
        """Notes how far the round is behind the wall: a room that stood still goes on in its own time, the chain does not.

        In whole seconds, so that a room that keeps its pace is not behind.
        """
        if self._clock_ms is not None and self.room.id:
            behind_ms = max(0, self._clock_ms() - self.room.at_ms(round_)) // SECOND_MS * SECOND_MS
            self._settling.behind_ms = self._clearing.behind_ms = behind_ms

    def _refuse(self, command: messages.Command, why: str) -> Send:
        return Send(self._config.watcher, clearing.refusal_of(self._config.room, command, why))

    def _run(self) -> list[Send]:
        """Goes on with the current round as far as the answers at hand allow."""
        if self._round < 0 or not self._settling.ready(self.room, self._round):
            return []
        if not self._asked:
            self._asked = True
            decide = Decide(self._round, self._news_seq, self._news)
            asked = [Send(host, decide) for host in self._hosts]
            return asked or self._commit()
        if len(self._acts) < len(self._hosts):
            return []
        return self._commit()

    def _commit(self) -> list[Send]:
        round_, before = self._round, self._journal.head.seq
        cleared = self._append(round_)
        self.room = cleared.room
        self._news, self._news_seq, self._round, self._done = cleared.events, before, -1, round_
        if any(isinstance(event, AgentSpawned | AgentLeft) for event in cleared.events):
            self._hosts = self._config.hosting.hosts_of(self.room)
        config, at_ms = self._config, self.room.at_ms(round_)
        sends = [Send(config.watcher, refused) for refused in cleared.refused]
        sends += [Send(config.watcher, done) for done in cleared.done]
        if cleared.events:
            sends.append(Send(config.watcher, Committed(config.room, at_ms, round_, cleared.events)))
        sends += self._settling.jobs(self.room, round_)
        if self.room.status is RoomStatus.INACTIVE:
            sends += [self._refuse(waiting.command, "the room is closed") for waiting in self._mailbox]
            self._mailbox = []
        else:
            sends.append(Send(f"room:{config.room}", Tick(round_ + 1), self.room.round_ms))
        return sends

    def _append(self, round_: int) -> Cleared:
        """Clears and appends the round; a lock lost to another room makes it clear again without that accept."""
        acts = [act for host in sorted(self._acts) for act in self._acts[host].acts]
        now = sorted(
            (waiting for waiting in self._mailbox if waiting.round <= round_), key=lambda w: (w.round, w.order)
        )
        commands = [waiting.command for waiting in now]
        later = [waiting for waiting in self._mailbox if waiting.round > round_]
        cmd = f"round:{self._config.room}:{round_}"
        for _attempt in range(CLEARINGS_MAX):
            if self._journal.load():
                raise RoomLost(f"room {self._config.room} has another writer", hint="stop one of the two processes")
            self._settling.hear(one for acts_ in self._acts.values() for one in acts_.accepted)
            done = self._settling.due(self.room, round_)
            closing = self._config.close_when_empty and clearing.is_over(self.room) and not self._mailbox
            cleared = self._clearing.clear(self.room, round_, commands, done, acts, closing=closing)
            outcome: list[bytes] | Conflict = []
            if cleared.events:
                at_ms = cleared.room.at_ms(round_)
                _mark("room.before_append", cleared.events)
                outcome = self._journal.append(cleared.appends, at_ms=at_ms, cmd=cmd, unless=cleared.unless)
                _mark("room.after_append", cleared.events)
            if not isinstance(outcome, Conflict):
                self._mailbox = [*(messages.Scheduled(0, command) for command in cleared.waiting), *later]
                return cleared
        raise RoomLost(f"round {round_} of room {self._config.room} met a conflict {CLEARINGS_MAX} times")


def _mark(place: str, events: tuple[Event, ...]) -> None:
    """Marks a place in the program, and the same for each kind of event it is passed with."""
    failpoints.hit(place)
    for event in events:
        failpoints.hit(f"{place}.{BY_TYPE[type(event)].name}")
