"""The adapters of the `EventStore` port. A new one is one line here, and the whole suite holds it to the contract."""

from __future__ import annotations

from collections.abc import Callable

from agentrooms.events.dcb import DcbEventStore
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import EventStore

ADAPTERS: dict[str, Callable[[], EventStore]] = {
    "memory": MemoryEventStore,
    "dcb": DcbEventStore,
}
