"""Which collections rooms may trade: the demo's, and any contract that somebody opens a room for."""

from __future__ import annotations

from collections.abc import Sequence

from agentrooms.domain import collection as collections
from agentrooms.domain.collection import Collection
from agentrooms.domain.eip712 import ZERO_ADDRESS, is_address, shortened
from agentrooms.domain.event import Event
from agentrooms.domain.site import Site
from agentrooms.errors import Rejection
from agentrooms.events.record import decode_line
from agentrooms.events.store import EventStore, QueryItem
from agentrooms.live.commands import OpenRoom
from agentrooms.sim import sales
from agentrooms.sim.swarm import COLLECTION_NAME, COMPARABLE_BY


class Tradable:
    """The collections that the log knows, on one chain."""

    def __init__(self, store: EventStore, site: Site) -> None:
        self._store = store
        self._site = site
        self.demo = Collection(site.collection, COLLECTION_NAME, COMPARABLE_BY, sales.COMMON, active=True)

    def find(self, command: OpenRoom) -> tuple[Sequence[Event], Collection]:
        """Returns a new room's collection, and what registers it when it is not there yet. Raises Rejection."""
        name = command.collection
        if name in {None, self._site.collection, COLLECTION_NAME}:
            return self.demo_events(), self.demo
        assert name is not None
        known = self._collection(name)
        if not known.address and self._may_be_one(name):
            called = command.collection_name or shortened(name)
            registered = collections.register(known, name, called, "", "")
            return registered, collections.evolve(known, registered[0])
        if not known.active:
            raise Rejection(
                f"{name!a} is not an active collection", hint=f"give a contract's address, or {COLLECTION_NAME}"
            )
        return [], known

    def demo_events(self) -> Sequence[Event]:
        """Returns what registers the demo's collection; [] when it is."""
        demo, known = self.demo, self._collection(self._site.collection)
        return collections.register(known, demo.address, demo.name, demo.comparable_by, demo.base_grade)

    def _may_be_one(self, name: str) -> bool:
        return is_address(name) and name not in {ZERO_ADDRESS, self._site.escrow, self._site.currency}

    def _collection(self, address: str) -> Collection:
        state = Collection()
        for found in self._store.read((QueryItem(tags=(f"collection:{address}",)),)):
            event = decode_line(found.event.data).event
            assert isinstance(event, collections.CollectionEvent)
            state = collections.evolve(state, event)
        return state
