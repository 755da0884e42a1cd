"""Reading a room's log for REST: its frames by number, and the room at any moment.

The rooms last asked for are kept folded, so a page costs one read of its events and a moment a short fold.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from agentrooms.api.frames import frame_of
from agentrooms.api.models.frames import AnyEventFrame
from agentrooms.api.models.room_state import RoomState, room_state
from agentrooms.api.problems import Problem
from agentrooms.api.sockets.fold import LogChanged, RoomFold
from agentrooms.domain.folding import fold
from agentrooms.domain.room import Room
from agentrooms.events.journal import fence
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import EventStore

PAGE_EVENTS = 1_000  # one read of the log
ROOMS_KEPT = 32
MARK_EVENTS = 2_000  # between two states that are kept of a room


class _History(RoomFold):
    """A room with the places of its events in the log, and its state now and then."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.lock = threading.Lock()
        self._places = array("q")
        self._marks: list[tuple[int, Room]] = [(0, Room())]

    def catch_up(self, store: EventStore) -> None:
        """Reads what was appended since the last look."""
        while True:
            page = store.read(fence(self.id), after=self.position, limit=PAGE_EVENTS)
            self.read(page)
            self._places.extend(one.position for one in page)
            if self.seq - self._marks[-1][0] >= MARK_EVENTS:
                self._marks.append((self.seq, self.room))
            if len(page) < PAGE_EVENTS:
                return

    def events(self, store: EventStore, after: int, limit: int) -> list[Recorded]:
        """Returns events by number."""
        if after >= self.seq:
            return []
        place = self._places[after - 1] if after else 0
        return [decode_line(one.event.data) for one in store.read(fence(self.id), after=place, limit=limit)]

    def at(self, store: EventStore, seq: int) -> Room:
        """Returns the room after one of its events."""
        if seq == self.seq:
            return self.room
        mark, room = next(pair for pair in reversed(self._marks) if pair[0] <= seq)
        return fold(room, (one.event for one in self.events(store, mark, seq - mark))) if seq > mark else room


class _Histories:
    """The rooms last asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rooms: OrderedDict[str, _History] = OrderedDict()

    def of(self, room: str) -> _History:
        """Returns a room's history, perhaps an empty one."""
        with self._lock:
            history = self._rooms.setdefault(room, _History(room))
            self._rooms.move_to_end(room)
            while len(self._rooms) > ROOMS_KEPT:
                self._rooms.popitem(last=False)
            return history

    def forget(self, room: str) -> None:
        """Lets a room's history go."""
        with self._lock:
            self._rooms.pop(room, None)


_KEPT: WeakKeyDictionary[EventStore, _Histories] = WeakKeyDictionary()
_KEPT_LOCK = threading.Lock()


def frames_after(store: EventStore, room: str, after: int, limit: int) -> list[AnyEventFrame]:
    """Returns a room's frames behind its event `after`, in order, at most `limit` of them.

    Raises Problem 404 for a room that is none, StoreError when the log cannot be read.
    """
    with _history(store, room) as history:
        return [frame_of(one, history.room) for one in history.events(store, after, limit) if one.seq <= history.seq]


def state_at(store: EventStore, room: str, seq: int | None = None) -> RoomState:
    """Returns a room after one of its events, None for the last one.

    Raises Problem 404 for a room that is none, 422 for an event it has not had; StoreError when the log cannot be read.
    """
    with _history(store, room) as history:
        wanted = history.seq if seq is None else seq
        if not 1 <= wanted <= history.seq:
            raise Problem(422, f"the room has no event {wanted} yet", hint=f"its events are 1 to {history.seq}")
        return room_state(history.at(store, wanted), wanted)


@contextmanager
def _history(store: EventStore, room: str) -> Iterator[_History]:
    """Gives a room's history up to now, for one thread at a time. Raises Problem."""
    with _KEPT_LOCK:
        histories = _KEPT.setdefault(store, _Histories())
    history = histories.of(room)
    with history.lock:
        try:
            history.catch_up(store)
        except LogChanged as error:
            histories.forget(room)
            raise Problem(503, "the room's log has changed", hint="try again") from error
        if not history.seq:
            histories.forget(room)
            raise Problem(404, "there is no such room", hint="GET /rooms lists those there are")
        yield history
