"""Folding a log at once or in parts gives the same room (invariant 5)."""

from __future__ import annotations

from agentrooms.domain.folding import Draft
from agentrooms.domain.room import Room
from agentrooms.events.record import PLATFORM
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import Log

PARTS = 8

Entries = list[tuple[int, object]]


def check_fold(log: Log) -> Check:
    """Folds each room's events whole and cut at several places, and compares the rooms as values."""
    found = Findings("fold", log.place)
    rooms: dict[str, list[tuple[int, object]]] = {}
    for number, recorded in log.events:
        if recorded.chain != PLATFORM:
            rooms.setdefault(recorded.chain, []).append((number, recorded.event))
    for chain, entries in rooms.items():
        try:
            _check_room(found, chain, entries)
        except _Stuck as stuck:
            found.wrong(stuck.line, f"the room's fold cannot take this event: {stuck.why}")
    return found.check(f"folding in {PARTS} parts gives the rooms that folding at once gives")


class _Stuck(Exception):
    """The fold cannot take the event at a line."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def _check_room(found: Findings, chain: str, entries: Entries) -> None:
    found.count += len(entries)
    whole = _fold(Room(), entries)
    room, step = Room(), max(1, -(-len(entries) // PARTS))
    for first in range(0, len(entries), step):
        room = _fold(room, entries[first : first + step])
    if room != whole or list(room.deals) != list(whole.deals):
        names = [name for name in Room.__slots__ if getattr(room, name) != getattr(whole, name)]
        found.wrong(0, f"room {chain} folded in {PARTS} parts differs in {', '.join(names) or 'the order of deals'}")


def _fold(room: Room, entries: Entries) -> Room:
    draft = Draft(room)
    for number, event in entries:
        try:
            draft.apply(event)  # type: ignore[arg-type]
        except Exception as error:
            raise _Stuck(number, f"{type(error).__name__}: {error}") from error
    return draft.freeze()
