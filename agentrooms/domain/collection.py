"""A collection is an ERC-721 contract whose items may be traded; rooms open on active collections only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentrooms.domain.event import Event
from agentrooms.errors import Rejection

NAME_CHARACTERS_MAX = 50


class CollectionRegistered(Event, frozen=True):
    """A collection may be traded; `comparable_by` names the trait that makes items comparable ("" for none)."""

    collection: str
    name: str
    comparable_by: str
    base_grade: str


class CollectionClosed(Event, frozen=True):
    """No new room opens on the collection."""

    collection: str


CollectionEvent = CollectionRegistered | CollectionClosed


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection by its contract address; `base_grade` is the grade whose floor is the headline."""

    address: str = ""
    name: str = ""
    comparable_by: str = ""
    base_grade: str = ""
    active: bool = False


def evolve(collection: Collection, event: CollectionEvent) -> Collection:
    """Returns the collection after the event."""
    match event:
        case CollectionRegistered():
            return Collection(event.collection, event.name, event.comparable_by, event.base_grade, active=True)
        case CollectionClosed():
            return replace(collection, active=False)


def register(
    collection: Collection, address: str, name: str, comparable_by: str, base_grade: str
) -> list[CollectionEvent]:
    """Registers a collection, or opens a closed one again with the same terms."""
    if not name or len(name) > NAME_CHARACTERS_MAX:
        raise Rejection(f"a collection's name has 1 to {NAME_CHARACTERS_MAX} characters, was {name!r}")
    asked = Collection(address, name, comparable_by, base_grade, active=True)
    if collection == asked:
        return []
    if collection.address and replace(collection, active=True) != asked:
        raise Rejection(f"collection {address} is registered as {collection.name!r} with other terms")
    return [CollectionRegistered(address, name, comparable_by, base_grade)]


def close(collection: Collection) -> list[CollectionEvent]:
    """Closes a collection to new rooms."""
    if not collection.address:
        raise Rejection("an unknown collection cannot be closed")
    return [CollectionClosed(collection.address)] if collection.active else []
