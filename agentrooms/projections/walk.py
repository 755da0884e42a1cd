"""Walks a log room by room, with the same fold that runs live."""

from __future__ import annotations

from agentrooms.domain.event import Event
from agentrooms.domain.folding import Draft
from agentrooms.domain.room import Room
from agentrooms.errors import AgentroomsError
from agentrooms.events.record import PLATFORM, Recorded


class BrokenLog(AgentroomsError):
    """An event of the log cannot follow from those before it."""

    def __init__(self, number: int, recorded: Recorded) -> None:
        super().__init__(
            f"event {number} of the log ({recorded.type}) does not follow from the events before it",
            hint="`agentrooms verify` names the place where the log was changed",
        )


class Rooms:
    """The rooms of a log as they are after the events applied so far."""

    def __init__(self, rooms: dict[str, Room] | None = None) -> None:
        self._drafts = {chain: Draft(room) for chain, room in (rooms or {}).items()}

    def get(self, chain: str) -> Room:
        """Returns a room as it is now. It changes with the next event: read it, do not keep it."""
        draft = self._drafts.get(chain)
        return draft.room if draft is not None else _NOWHERE

    def apply(self, number: int, recorded: Recorded) -> None:
        """Takes event `number` of the log into account. Raises BrokenLog when it names what is not there."""
        if recorded.chain == PLATFORM:
            return
        draft = self._drafts.get(recorded.chain)
        if draft is None:
            draft = self._drafts[recorded.chain] = Draft(Room())
        try:
            draft.apply(recorded.event)
        except (LookupError, AssertionError) as error:
            raise BrokenLog(number, recorded) from error

    def freeze(self) -> dict[str, Room]:
        """Returns all rooms as they are now; this walk must not go on after."""
        return {chain: draft.freeze() for chain, draft in self._drafts.items()}


_NOWHERE = Room()


def round_of(event: Event) -> int:
    """Returns the round an event belongs to; what opens a room is round 0."""
    number: int = getattr(event, "round", 0)
    return number
