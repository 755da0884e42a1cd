"""Collections by address and by name: the log says what each is called."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from agentrooms.api.home import Home
from agentrooms.api.problems import Problem
from agentrooms.chain.holdings import Holdings
from agentrooms.domain.collection import CollectionRegistered
from agentrooms.domain.eip712 import is_address
from agentrooms.events.record import decode_line
from agentrooms.events.store import with_any
from agentrooms.sim.swarm import COLLECTION_NAME

KNOWN_MAX = 10_000  # names that are kept: one that is registered never changes
_KNOWN: WeakKeyDictionary[Home, dict[str, str]] = WeakKeyDictionary()


def address_of(home: Home, collection: str) -> str:
    """Returns the address of a collection that is given by address or as the demo's; any other text as it is."""
    if collection.casefold() == COLLECTION_NAME.casefold():
        return home.site.collection
    return collection.lower() if is_address(collection.lower()) else collection


def require_erc721(holdings: Holdings, address: str) -> None:
    """Raises Problem 422 for an address where the chain has no contract that says that it is an ERC-721 collection."""
    if not holdings.is_erc721(address):
        there = holdings.has_code(address)
        what = "the contract does not say that it is an ERC-721 collection" if there else "there is no contract"
        raise Problem(422, f"{what} at {address}", hint="GET /chain says which chain it must be on")


def names_of(home: Home, addresses: Iterable[str]) -> dict[str, str]:
    """Returns what collections are called; an unregistered one by its address. Raises StoreError."""
    known, wanted = _KNOWN.setdefault(home, {}), set(addresses)
    if len(known) >= KNOWN_MAX:
        known.clear()
    for query in with_any((f"collection:{one}" for one in wanted - known.keys()), ("collection.registered",)):
        found = [decode_line(one.event.data).event for one in home.store.read(query)]
        known |= {event.collection: event.name for event in found if isinstance(event, CollectionRegistered)}
    return {one: known.get(one, one) for one in wanted}
