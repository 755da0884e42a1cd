"""The event store over any recorder of the `eventsourcing` library; the one module that imports it.

With the library's own in-memory recorder it is the reference that the fast adapters are held
against; a Postgres recorder of the same interface is durable.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventsourcing.dcb.api import DCBAppendCondition, DCBEvent, DCBQuery, DCBQueryItem, DCBRecorder
from eventsourcing.dcb.popo import InMemoryDCBRecorder
from eventsourcing.persistence import IntegrityError

from agentrooms.events.store import EVERYTHING, Condition, Conflict, Positioned, Query, StoredEvent, StoreError


class DcbEventStore:
    """Translates our port to the library's interface and back."""

    def __init__(self, recorder: DCBRecorder | None = None) -> None:
        self._recorder = recorder if recorder is not None else InMemoryDCBRecorder()

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends all events, or returns the conflict and appends none."""
        if not events:
            raise StoreError("an append holds at least one event", hint="do not append when nothing happened")
        if condition.after > self.head():
            raise StoreError(f"position {condition.after} is not in this log of {self.head()} events")
        stated = DCBAppendCondition(fail_if_events_match=_query(condition.query), after=condition.after)
        try:
            return self._recorder.append([DCBEvent(e.type, e.data, list(e.tags)) for e in events], stated)
        except IntegrityError:
            return Conflict(condition.query, condition.after)

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order."""
        found = self._recorder.read(_query(query), after=after, limit=limit)
        return [Positioned(f.position, StoredEvent(f.event.type, f.event.data, tuple(f.event.tags))) for f in found]

    def head(self) -> int:
        """Returns the last position."""
        return self._recorder.read(limit=None, after=None).head or 0


def _query(query: Query) -> DCBQuery:
    return DCBQuery(items=[DCBQueryItem(types=list(i.types), tags=list(i.tags)) for i in query])
