"""The event store in memory: for reproducible runs and tests. Fast, indexed by tag, gone with its process."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from agentrooms.events.store import (
    EVERYTHING,
    Condition,
    Conflict,
    Positioned,
    Query,
    QueryItem,
    StoredEvent,
    StoreError,
)


class MemoryEventStore:
    """A list of events and, for each tag, the positions of the events that carry it."""

    def __init__(self) -> None:
        self._events: list[Positioned] = []
        self._by_tag: defaultdict[str, list[int]] = defaultdict(list)

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends all events, or returns the conflict and appends none."""
        if not events:
            raise StoreError("an append holds at least one event", hint="do not append when nothing happened")
        if condition.after > len(self._events):
            raise StoreError(f"position {condition.after} is not in this log of {len(self._events)} events")
        if condition.after < len(self._events) and self.read(condition.query, after=condition.after, limit=1):
            return Conflict(condition.query, condition.after)
        position = len(self._events)
        for event in events:
            position += 1
            self._events.append(Positioned(position, event))
            for tag in event.tags:
                self._by_tag[tag].append(position)
        return position

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order."""
        if not query:
            end = len(self._events) if limit is None else after + limit
            return self._events[after:end]
        found: set[int] = set()
        for item in query:
            found.update(self._matches(item, after))
        places = sorted(found)[:limit]
        return [self._events[position - 1] for position in places]

    def head(self) -> int:
        """Returns the last position."""
        return len(self._events)

    def _matches(self, item: QueryItem, after: int) -> list[int]:
        if not item.tags:
            candidates: Sequence[int] = range(after + 1, len(self._events) + 1)
        else:
            lists = [self._by_tag.get(tag, []) for tag in item.tags]
            shortest = min(lists, key=len)
            candidates = shortest[bisect_right(shortest, after) :]
        if len(item.tags) <= 1 and not item.types:
            return list(candidates)
        return [p for p in candidates if self._fits(self._events[p - 1].event, item)]

    @staticmethod
    def _fits(event: StoredEvent, item: QueryItem) -> bool:
        return (not item.types or event.type in item.types) and set(item.tags) <= set(event.tags)
