"""Clears one round: commands, settlement's answers and acts become the events of one append.

Acts take their turn in a seeded order, each checked against the room as the acts before left it, so
being fast gains nothing. An act that no longer holds is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agentrooms.actors import messages
from agentrooms.actors.wording import word
from agentrooms.domain import agent as agents
from agentrooms.domain import locks, posting
from agentrooms.domain.act import Act
from agentrooms.domain.deal import DealCompleted, DealEvent, DealFailed, DealLocked, Terms
from agentrooms.domain.event import Event
from agentrooms.domain.folding import Draft
from agentrooms.domain.ids import draw
from agentrooms.domain.mandate import Mandate, SignedMandate
from agentrooms.domain.posting import ActRefused, Venue
from agentrooms.domain.room import ActsExplained, CloseReason, Room, RoomStatus
from agentrooms.domain.terms import ActKind, LeaveReason, Role
from agentrooms.errors import InvalidInput, Rejection
from agentrooms.events.journal import Entry, Journal, locks_of
from agentrooms.events.store import Query
from agentrooms.events.vault import NotInVault, Vault, get_mandate
from agentrooms.language import Wording

ID_CHARACTERS_MAX = 100
_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{ID_CHARACTERS_MAX}}}")
_OWN_IDS = frozenset({"genesis", "open", "round", "swarm"})


@dataclass(slots=True)
class Cleared:
    """A cleared round: the room after it, what to append under which locks, and what was not done."""

    room: Room
    appends: list[Entry] = field(default_factory=list)
    unless: Query = ()
    refused: list[messages.Refused] = field(default_factory=list)
    done: list[messages.Done] = field(default_factory=list)
    waiting: list[messages.Command] = field(default_factory=list)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events without what else they are tagged by."""
        return tuple(entry.event for entry in self.appends)


class Clearing:
    """Turns rounds into events; its only memory is a cache of the vault's mandates."""

    def __init__(self, journal: Journal, vault: Vault, narrator: Wording, venue: Venue, run_key: bytes) -> None:
        self._journal = journal
        self._vault = vault
        self._narrator = narrator
        self._venue = venue
        self.behind_ms = 0  # how far room time is behind the chain's: deals have their time on the chain
        self._run_key = run_key
        self._mandates: dict[str, Mandate] = {}

    def clear(
        self,
        room: Room,
        round_: int,
        commands: Sequence[messages.Command],
        settled: Sequence[DealEvent],
        acts: Sequence[Act],
        *,
        closing: bool,
    ) -> Cleared:
        """Returns what the round comes to. Changes nothing."""
        turn = _Turn(Draft(room), round_, Cleared(room))
        for event in settled:
            turn.add(event)
            if isinstance(event, DealCompleted | DealFailed):
                turn.add(*posting.depart(turn.draft.room, event))
        for command in commands:
            self._command(turn, command)
        turn.add(*posting.expire_quotes(turn.draft.room, round_))
        reasons: dict[str, dict[str, str | int]] = {}
        for act in self._in_order(acts, round_):
            if self._act(turn, act):
                reasons[act.agent] = {"rule": act.reason.rule, **act.reason.facts}
        if reasons:
            turn.add(ActsExplained(reasons, round_))
        if closing:
            turn.add(*posting.close_room(turn.draft.room, CloseReason.ALL_AGENTS_LEFT, round_))
        turn.cleared.room = turn.draft.freeze()
        return turn.cleared

    def _in_order(self, acts: Sequence[Act], round_: int) -> list[Act]:
        return sorted(acts, key=lambda act: (draw(self._run_key, "order", act.agent, round_), act.agent))

    def _command(self, turn: _Turn, command: messages.Command) -> None:
        if isinstance(command, messages.Close) and turn.draft.room.live_deals():
            turn.cleared.waiting.append(command)
            return
        room = turn.draft.room.id
        try:
            _check_id(command.id)
            if not command.id or (command.id not in turn.seen and not self._journal.is_done(command.id)):
                turn.add(*self._decide(turn, command), command=command.id)
        except (Rejection, InvalidInput) as refusal:
            turn.cleared.refused.append(refusal_of(room, command, str(refusal)))
            return
        turn.seen.add(command.id)
        if command.id:
            turn.cleared.done.append(messages.Done(room, command.id))

    def _decide(self, turn: _Turn, command: messages.Command) -> Sequence[Event]:
        room, round_ = turn.draft.room, turn.round
        match command:
            case messages.Spawn():
                spawned = replace(command.agent, round=round_)
                posting.check_mandated(spawned, self._signed(spawned.mandate_hash), room.collection, self._venue)
                return posting.spawn(room, spawned)
            case messages.Close():
                return posting.close_room(room, CloseReason.REQUESTED, round_)
            case messages.Speak():
                return posting.speak(room, replace(command.spoke, round=round_))
        agent = room.agents.get(command.agent)
        if agent is None:
            raise Rejection(f"agent {command.agent} is not in room {room.id}")
        match command:
            case messages.Pause():
                return agents.pause(agent, round_)
            case messages.Resume():
                return agents.resume(agent, round_)
            case messages.Remove():
                return agents.leave(agent, command.reason, round_)
            case messages.Reconfigure():
                if command.mandate_hash is not None:
                    posting.check_unheld(room, agent.id, command.mandate_hash)
                    posting.check_mandated(agent, self._signed(command.mandate_hash), room.collection, self._venue)
                return agents.reconfigure(
                    agent,
                    round_,
                    strategy=command.strategy,
                    style=command.style,
                    mandate_hash=command.mandate_hash,
                )

    def _act(self, turn: _Turn, act: Act) -> bool:
        """Posts an act if it still holds; tells whether it did."""
        room, round_ = turn.draft.room, turn.round
        agent = room.agents.get(act.agent)
        if agent is None:
            return False
        try:
            mandate = self._mandate(agent.mandate_hash)
            posting.check_act(room, act, mandate, round_)
            lock = self._lock(turn, act) if act.kind is ActKind.ACCEPT else None
        except (ActRefused, locks.LockRefused, NotInVault):
            return False
        text, mood, wording = word(self._narrator, self._run_key, room, act, mandate, round_, turn.draft.lines)
        turn.add(posting.posted(room, act, round_, text=text, mood=mood, wording=wording))
        if lock is not None:
            turn.add(lock)
            turn.cleared.unless += locks_of(lock.terms)
        if act.kind is ActKind.LEAVE:
            reason = LeaveReason.TIMEOUT if act.reason.rule == "mandate_ends" else LeaveReason.GAVE_UP
            turn.add(*agents.leave(room.agents[act.agent], reason, round_))
        return True

    def _lock(self, turn: _Turn, act: Act) -> DealLocked:
        """Returns the lock an accept makes. Raises LockRefused when item, agents or budget are taken."""
        terms = posting.terms_of(turn.draft.room, act, self._venue_now(), turn.round)
        self._check_other_mandate(turn, act, terms)
        held = locks.fold([*self._journal.read(locks_of(terms)), *turn.cleared.events])
        locks.check_lock(held, terms)
        return posting.lock(terms, turn.round)

    def _venue_now(self) -> Venue:
        return replace(self._venue, deal_ms=self._venue.deal_ms + self.behind_ms)

    def _check_other_mandate(self, turn: _Turn, act: Act, terms: Terms) -> None:
        """Checks the party that quoted: its mandate may have ended since."""
        room = turn.draft.room
        buying = room.agents[act.agent].role is Role.BUYER
        other = self._mandate(terms.seller_mandate if buying else terms.buyer_mandate)
        posting.check_within(other, terms.item, terms.price_usdc_micros, room.at_ms(turn.round))

    def _signed(self, key: str) -> SignedMandate:
        """Returns the mandate a command names. Raises Rejection without a word on what the vault holds instead."""
        try:
            return get_mandate(self._vault, key)
        except NotInVault:
            raise Rejection(f"the vault holds nothing for {key}", hint="store the signed mandate first") from None

    def _mandate(self, key: str) -> Mandate:
        if key not in self._mandates:
            self._mandates[key] = get_mandate(self._vault, key).mandate
        return self._mandates[key]


@dataclass(slots=True)
class _Turn:
    """A round being cleared."""

    draft: Draft
    round: int
    cleared: Cleared
    seen: set[str] = field(default_factory=set)

    def add(self, *events: Event, command: str = "") -> None:
        """Takes events into the round and the draft; `command` is the id of what caused them."""
        for event in events:
            terms = self._terms(event)
            self.draft.apply(event)
            self.cleared.appends.append(Entry(event, terms, command))

    def _terms(self, event: Event) -> Terms | None:
        name = getattr(event, "deal", None)
        return self.draft.room.deals[name].terms if name is not None else None


def _agent_of(command: messages.Command) -> str:
    match command:
        case messages.Spawn():
            return command.agent.agent
        case messages.Close() | messages.Speak():
            return ""
    return command.agent


def _check_id(command: str) -> None:
    """Raises Rejection for an id that could not stand in a tag or would take the place of the platform's own."""
    if command and (_ID.fullmatch(command) is None or command.partition(":")[0] in _OWN_IDS):
        raise Rejection(
            f"{command[:ID_CHARACTERS_MAX]!a} is not the id of a command",
            hint=f"1 to {ID_CHARACTERS_MAX} of A-Z a-z 0-9 . _ : -, not beginning with {', '.join(sorted(_OWN_IDS))}",
        )


def refusal_of(room: str, command: messages.Command, why: str) -> messages.Refused:
    """Returns what tells a command's sender that it was refused."""
    return messages.Refused(room, type(command).__name__, why, command.id, _agent_of(command))


def is_over(room: Room) -> bool:
    """Tells whether a room that closes when empty has seen its agents come and go."""
    if room.status is not RoomStatus.ACTIVE or not room.agents or room.live_deals():
        return False
    return not any(agent.present for agent in room.agents.values())
