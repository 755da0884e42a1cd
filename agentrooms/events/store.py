"""The `EventStore` port: one log, one order, appends that state what must not have happened.

The model is that of dynamic consistency boundaries: a query names tags and types, an append names
the query that must have found nothing new since the position it decided on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from agentrooms.errors import AgentroomsError


class StoreError(AgentroomsError):
    """The store was used in a way its contract forbids, or cannot be reached."""


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """What is stored: a stable type name, bytes that are never looked into, and tags."""

    type: str
    data: bytes
    tags: tuple[str, ...]


class Positioned(msgspec.Struct, frozen=True, gc=False):
    """A stored event and its place in the one order; positions grow but may have gaps."""

    position: int
    event: StoredEvent


class QueryItem(msgspec.Struct, frozen=True):
    """Events that carry all the tags and, when types are named, are of one of them."""

    tags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


Query = tuple[QueryItem, ...]
"""Events that any item matches; the empty query matches every event."""

EVERYTHING: Query = ()
TAGS_AT_ONCE = 100  # of one query


def with_any(tags: Iterable[str], types: tuple[str, ...] = ()) -> Iterator[Query]:
    """Yields queries, TAGS_AT_ONCE tags each, that together match the events of the types with any of the tags."""
    ordered = sorted(set(tags))
    for start in range(0, len(ordered), TAGS_AT_ONCE):
        yield tuple(QueryItem((tag,), types) for tag in ordered[start : start + TAGS_AT_ONCE])


class Condition(msgspec.Struct, frozen=True):
    """Nothing that matches the query may stand after the position."""

    query: Query
    after: int


class Conflict(msgspec.Struct, frozen=True):
    """An append found something new. Reading `query` after `after` shows what; then decide again."""

    query: Query
    after: int


class EventStore(Protocol):
    """An append-only log. All methods may raise StoreError when the store cannot be reached."""

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends all events or none; returns the last one's position, or the conflict.

        Raises StoreError for an empty append: it would have no position.
        """

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order, at most `limit` of them."""

    def head(self) -> int:
        """Returns the last position, 0 for an empty log."""
