"""Any interleaving of writers leaves a sound log, on every store."""

from __future__ import annotations

import pytest

from tests.events.concurrency import Rooms
from tests.events.stores import ADAPTERS
from tests.events.test_conformance import HALF

pytestmark = pytest.mark.usefixtures("stores")


class RoomsInMemory(Rooms):
    make_store = staticmethod(ADAPTERS["memory"])


class RoomsInDcb(Rooms):
    make_store = staticmethod(ADAPTERS["dcb"])


class RoomsInDcbInPostgres(Rooms):
    make_store = staticmethod(ADAPTERS["dcb in Postgres"])


class RoomsInLogWriter(Rooms):
    make_store = staticmethod(ADAPTERS["log writer"])


TestRoomsInMemory = RoomsInMemory.TestCase
TestRoomsInDcb = RoomsInDcb.TestCase
TestRoomsInDcbInPostgres = RoomsInDcbInPostgres.TestCase
TestRoomsInDcbInPostgres.settings = HALF
TestRoomsInLogWriter = RoomsInLogWriter.TestCase
TestRoomsInLogWriter.settings = HALF
