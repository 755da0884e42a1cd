"""A journal: the single writer of one chain (a room's, or the roomless one).

It numbers events, extends the hash chain and appends under three guards, each a query item:
the *fence* (nobody else has written this chain), *once* (this command has not had its effect) and
the locks the caller adds. A conflict is a value; the caller reloads and decides again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from agentrooms.domain.deal import Terms
from agentrooms.domain.event import Event
from agentrooms.events.catalogue import BY_TYPE
from agentrooms.events.record import GENESIS, PLATFORM, Recorded, decode_line, encode_line, line_hash
from agentrooms.events.store import Condition, Conflict, EventStore, Query, QueryItem, StoredEvent
from agentrooms.events.tags import chain_tag, cmd_tag, lock_tags, tags_of


class Head(msgspec.Struct, frozen=True):
    """Where a chain ends: its last number and the hash of its last line."""

    seq: int = 0
    hash: str = GENESIS


def fence(chain: str) -> Query:
    """Returns what a chain's writer must not find: an event by another writer."""
    return (QueryItem(tags=(chain_tag(chain),)),)


def once(cmd: str) -> Query:
    """Returns what a command must not find: its own effect."""
    return (QueryItem(tags=(cmd_tag(cmd),)),)


LOCK_TYPES = ("deal.completed", "deal.failed", "deal.locked", "wallet.budgeted")


def locks_of(terms: Terms) -> Query:
    """Returns what a lock must not find: another lock, or end of one, of its item or its buyer's wallet."""
    return tuple(QueryItem(tags=(tag,), types=LOCK_TYPES) for tag in lock_tags(terms))


class Entry(NamedTuple):
    """An event to append, the terms of the deal it is about, and the id of the command that caused it ("" for none)."""

    event: Event
    terms: Terms | None = None
    command: str = ""


class Journal:
    """One chain's end and the way to extend it."""

    def __init__(self, store: EventStore, chain: str = PLATFORM) -> None:
        self.store = store
        self.chain = chain
        self.head = Head()
        self.position = 0
        self._fence = fence(chain)

    def load(self) -> list[Recorded]:
        """Returns what others, or this writer's former life, have written since; moves to the chain's end."""
        position = self.store.head()
        found = self.store.read(self._fence, after=self.position)
        new = [decode_line(p.event.data) for p in found]
        if new:
            self.head = Head(new[-1].seq, new[-1].hash)
            position = max(position, found[-1].position)
        self.position = max(self.position, position)
        return new

    def read(self, query: Query) -> list[Event]:
        """Returns the events of a query that crosses chains, such as `locks_of`."""
        return [decode_line(p.event.data).event for p in self.store.read(query)]

    def is_done(self, cmd: str) -> bool:
        """Tells whether a command has had its effect."""
        return bool(self.store.read(once(cmd), limit=1))

    def append(self, entries: Sequence[Entry], *, at_ms: int, cmd: str, unless: Query = ()) -> list[bytes] | Conflict:
        """Appends events as the effect of one command, `cmd`, and of those that single entries name.

        Returns their lines, or the conflict. `unless` adds what must not have happened since `load`.
        """
        lines, stored = [], []
        seq, prev = self.head.seq, self.head.hash
        commands = {cmd: None}
        for event, terms, command in entries:
            tags = tags_of(event, self.chain, terms, command)
            seq += 1
            line = encode_line(event, chain=self.chain, seq=seq, at_ms=at_ms, cmd=cmd, tags=tags, prev=prev)
            prev = line_hash(line)
            lines.append(line)
            causes = {cmd: None, command: None} if command else {cmd: None}
            commands.update(causes)
            stored.append(StoredEvent(BY_TYPE[type(event)].name, line, (*tags, *map(cmd_tag, causes))))
        condition = Condition((*self._fence, *(item for c in commands for item in once(c)), *unless), self.position)
        outcome = self.store.append(stored, condition)
        if isinstance(outcome, Conflict):
            return outcome
        self.head, self.position = Head(seq, prev), outcome
        return lines
