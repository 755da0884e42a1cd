"""The read model in memory: the open rooms and what belongs to none, as far as a position of the log."""

from __future__ import annotations

from collections.abc import Iterable

from agentrooms.errors import AgentroomsError
from agentrooms.events.catalogue import CATALOGUE
from agentrooms.events.record import PLATFORM, decode_line
from agentrooms.events.store import EventStore, Positioned, QueryItem, StoreError
from agentrooms.events.tags import chain_tag
from agentrooms.projections.changes import Changes
from agentrooms.projections.platform_model import PlatformModel
from agentrooms.projections.read_rows import SwarmRow
from agentrooms.projections.room_model import RoomModel

PAGE_EVENTS = 5_000  # of a room's past, read at once
PRIVATE = frozenset(entry.name for entry in CATALOGUE if entry.private)  # never read: they change no row


class Unprojectable(AgentroomsError):
    """An event cannot be turned into rows; `position` names it."""

    def __init__(self, position: int, type_: str, error: Exception) -> None:
        super().__init__(
            f"event {position} of the log ({type_}) cannot be projected: {type(error).__name__}: {error}",
            hint="check the log with `agentrooms verify`; a newer log needs a newer program",
        )
        self.position = position


class Model:
    """Folds the log from `position` on. After an error it holds half an event and must be thrown away."""

    def __init__(self, store: EventStore, position: int, open_rooms: Iterable[str], swarms: list[SwarmRow]) -> None:
        self.position = position
        self.rooms: dict[str, RoomModel] = {}
        self._store = store
        self._platform = PlatformModel(swarms)
        for chain in open_rooms:
            self.rooms[chain] = self._load(chain)

    def apply(self, events: Iterable[Positioned]) -> tuple[Changes, list[RoomModel]]:
        """Folds the next events; returns the rows they change and the rooms they touch. Raises Unprojectable, StoreError."""
        changes = Changes()
        touched: dict[str, RoomModel] = {}
        for found in events:
            try:
                self._apply(found, changes, touched)
            except StoreError:
                raise  # a room's past could not be read: nothing is wrong with the event
            except (AgentroomsError, LookupError, AssertionError) as error:
                raise Unprojectable(found.position, found.event.type, error) from error
            self.position = found.position
        for room in touched.values():
            room.write(changes)
            if room.closed:
                del self.rooms[room.chain]
        return changes, list(touched.values())

    def _apply(self, found: Positioned, changes: Changes, touched: dict[str, RoomModel]) -> None:
        if found.event.type in PRIVATE:
            return
        recorded = decode_line(found.event.data)
        chain = recorded.chain
        if chain == PLATFORM:
            self._platform.apply(recorded, changes)
            return
        room = touched.get(chain)
        if room is None:
            room = touched[chain] = self._room(chain, recorded.seq)
        room.apply(found.position, recorded, changes)

    def _room(self, chain: str, seq: int) -> RoomModel:
        room = self.rooms.get(chain)
        if room is None:
            room = self.rooms[chain] = RoomModel(chain) if seq == 1 else self._load(chain)
        return room

    def _load(self, chain: str) -> RoomModel:
        """Returns a room as its chain up to `position` makes it; its rows are in the tables already."""
        room, after, ignored = RoomModel(chain), 0, Changes()
        query = (QueryItem(tags=(chain_tag(chain),)),)
        while found := self._store.read(query, after=after, limit=PAGE_EVENTS):
            for event in found:
                if event.position > self.position:
                    room.write(ignored)
                    return room
                if event.event.type not in PRIVATE:
                    room.apply(event.position, decode_line(event.event.data), ignored)
            after, ignored = found[-1].position, Changes()
        room.write(ignored)
        return room
