"""Any interleaving of writers leaves a sound log, on every store."""

from __future__ import annotations

from tests.events.concurrency import Rooms
from tests.events.stores import ADAPTERS


class RoomsInMemory(Rooms):
    make_store = staticmethod(ADAPTERS["memory"])


class RoomsInDcb(Rooms):
    make_store = staticmethod(ADAPTERS["dcb"])


TestRoomsInMemory = RoomsInMemory.TestCase
TestRoomsInDcb = RoomsInDcb.TestCase
