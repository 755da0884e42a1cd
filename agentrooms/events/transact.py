"""The one loop that turns a decider into an append: load, decide, append, on conflict once more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from agentrooms.domain.event import Event
from agentrooms.errors import AgentroomsError
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.record import decode_line
from agentrooms.events.store import Conflict, Query, QueryItem

ATTEMPTS_MAX = 8
ANYTHING: Query = (QueryItem(),)  # an empty query reads every event; as a condition it must not mean none

State = TypeVar("State")


class Contended(AgentroomsError):
    """A command lost the race for its append again and again."""


def transact(
    journal: Journal,
    query: Query,
    fold: Callable[[Sequence[Event]], State],
    decide: Callable[[State], Sequence[Event]],
    *,
    at_ms: int,
    cmd: str,
) -> Sequence[Event]:
    """Returns the events the command caused, [] when it was true or done already.

    `query` selects what `fold` needs. Raises the decider's Rejection, or Contended after ATTEMPTS_MAX.
    """
    for _attempt in range(ATTEMPTS_MAX):
        journal.load()
        if journal.is_done(cmd):
            return []
        state = fold([decode_line(p.event.data).event for p in journal.store.read(query)])
        events = decide(state)
        if not events:
            return []
        outcome = journal.append([Entry(e) for e in events], at_ms=at_ms, cmd=cmd, unless=query or ANYTHING)
        if not isinstance(outcome, Conflict):
            return events
    raise Contended(f"command {cmd} met a conflict {ATTEMPTS_MAX} times", hint="try again")
