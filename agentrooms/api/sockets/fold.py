"""A room as far as its log has been read."""

from __future__ import annotations

from collections.abc import Sequence

from agentrooms.domain.folding import fold
from agentrooms.domain.room import Room
from agentrooms.errors import AgentroomsError
from agentrooms.events.record import GENESIS, Recorded, decode_line
from agentrooms.events.store import Positioned


class LogChanged(AgentroomsError):
    """What was read does not follow what was read before: the log is another one."""


class RoomFold:
    """One room's state after its event `seq`, whose line hashes to `hash` and stands at `position` of the log."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.room = Room()
        self.seq = 0
        self.hash = GENESIS
        self.position = 0

    def read(self, found: Sequence[Positioned]) -> list[Recorded]:
        """Takes events from the log into account and returns those it had not. Raises LogChanged."""
        new = [one for one in found if one.position > self.position]
        events = [decode_line(one.event.data) for one in new]
        if new:
            self.take(events, new[-1].position)
        return events

    def take(self, events: Sequence[Recorded], position: int) -> None:
        """Takes the next events into account, the last of which is at `position`. Raises LogChanged."""
        seq, prev = self.seq, self.hash
        for one in events:
            seq += 1
            if one.seq != seq or one.prev != prev:
                raise LogChanged(f"event {one.seq} of room {self.id} does not follow event {self.seq} as it was read")
            prev = one.hash
        self.room = fold(self.room, (one.event for one in events))
        self.seq, self.hash, self.position = seq, prev, position
