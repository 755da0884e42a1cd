"""What stands in the last events of a log, by tag, so that append conditions need no database.

Each event remembers, for each of its tags, the position of the event before it with the same tag; the index
keeps the last position of each tag. Following these links visits only events that carry the tag.
"""

from __future__ import annotations

from typing import NamedTuple

from agentrooms.events.store import Query, QueryItem, StoredEvent

TAGGED_EVENTS_MAX = 20_000  # about 15 MB; conditions decided longer ago are looked up in the database


class _Tagged(NamedTuple):
    type: str
    tags: tuple[str, ...]
    before: tuple[int, ...]  # for each tag, the last position that carried it before; 0 for none


class TagIndex:
    """The events after `floor`, up to `head`; what lies at or below the floor is not known.

    Positions are dense. Between `forget_oldest` calls it grows by what is added.
    """

    def __init__(self, head: int, events_max: int = TAGGED_EVENTS_MAX) -> None:
        self.floor = head
        self._events_max = events_max
        self._events: list[_Tagged] = []
        self._last: dict[str, int] = {}

    @property
    def head(self) -> int:
        """The last position added."""
        return self.floor + len(self._events)

    def add(self, event: StoredEvent) -> None:
        """Adds the event at the position after the head."""
        tags = tuple(dict.fromkeys(event.tags))
        self._events.append(_Tagged(event.type, tags, tuple(self._last.get(tag, 0) for tag in tags)))
        for tag in tags:
            self._last[tag] = self.head

    def forget_oldest(self) -> None:
        """Raises the floor when there are more events than allowed; an eighth goes at once, to do it rarely."""
        if len(self._events) <= self._events_max:
            return
        excess = len(self._events) - self._events_max * 7 // 8
        for event in self._events[:excess]:
            self.floor += 1
            for tag in event.tags:
                if self._last[tag] == self.floor:
                    del self._last[tag]
        del self._events[:excess]

    def matches(self, query: Query, after: int) -> bool | None:
        """Says whether a matching event stands after the position; None when only events below the floor could."""
        if after >= self.head:
            return False
        if not query:
            return True
        if any(self._finds(item, after) for item in query):
            return True
        return None if after < self.floor else False

    def _finds(self, item: QueryItem, after: int) -> bool:
        if not item.tags:
            if not item.types:
                return True
            start = max(after - self.floor, 0)
            return any(event.type in item.types for event in self._events[start:])
        after = max(after, self.floor)
        tag = min(item.tags, key=lambda tag: self._last.get(tag, 0))
        position = self._last.get(tag, 0)
        while position > after:
            event = self._events[position - self.floor - 1]
            if (not item.types or event.type in item.types) and all(t in event.tags for t in item.tags):
                return True
            position = event.before[event.tags.index(tag)]
        return False
