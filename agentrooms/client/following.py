"""Following one room's events exactly once and in order: what to say, and what to make of what is said. No I/O."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from agentrooms.api.asyncapi import server_messages
from agentrooms.api.models.frames import AnyEventFrame, EventFrame
from agentrooms.api.models.room_state import RoomState
from agentrooms.api.models.socket import Error, Heartbeat, Joined
from agentrooms.client.problem import AnswerUnreadable
from agentrooms.errors import AgentroomsError

HOPELESS = frozenset({"forbidden", "invalid", "malformed", "not_found"})
"""Codes of errors that joining again does not mend."""

_ANY: Any = functools.reduce(operator.or_, server_messages())
_MESSAGE: TypeAdapter[Any] = TypeAdapter(Annotated[_ANY, Field(discriminator="type")])


class FeedRefused(AgentroomsError):
    """The API does not let this room be watched."""


class NotNow(AgentroomsError):
    """The room cannot be joined now."""


class LogChanged(AgentroomsError):
    """The room's log is another than the one that was followed, or has lost its end: what one has no longer holds."""


@dataclass(frozen=True)
class Joining:
    """To be said: join the room (again)."""

    message: dict[str, Any]


@dataclass(frozen=True)
class Filling:
    """To be read from the API: the events after `after` up to `until`; each then goes to `take_frame`."""

    after: int
    until: int


@dataclass(frozen=True)
class Got:
    """The next event."""

    frame: AnyEventFrame


@dataclass(frozen=True)
class Steady:
    """The connection works, and has for a while."""


Outcome = Joining | Filling | Got | Steady | None


@dataclass
class Following:
    """How far a room is followed. `seq` None: nothing yet, the feed begins where the room is."""

    room: str
    seq: int | None = None
    log_id: str | None = None
    snapshot: RoomState | None = None
    """The room where the feed began, if it began in the middle."""
    _connected: bool = field(default=False, repr=False)  # anew, and nothing was heard of the room since
    _joining: bool = field(default=False, repr=False)  # asked, and not yet answered
    _behind: int = field(default=0, repr=False)  # the head of the heartbeat before

    def join(self) -> Joining:
        """Returns what to say on a connection that is ready."""
        self._connected = True
        return self._join()

    def _join(self) -> Joining:
        self._joining, self._behind = True, 0
        message: dict[str, Any] = {"type": "join_room", "roomId": self.room}
        if self.seq is not None:
            message["after"] = self.seq
            if self.log_id is not None:
                message["logId"] = self.log_id
        return Joining(message)

    def take(self, text: str | bytes) -> Outcome:
        """Takes what was said. Raises FeedRefused, NotNow, LogChanged, AnswerUnreadable."""
        message = read(text)
        match message:
            case EventFrame() if message.room_id == self.room:
                return self.take_frame(message)  # type: ignore[arg-type]
            case Joined() if message.room_id == self.room:
                return self._joined(message)
            case Heartbeat():
                return self._beat(message.head.get(self.room, 0))
            case Error():  # all that is said is `join_room`
                kind = FeedRefused if message.code in HOPELESS else NotNow
                raise kind(message.message, hint=message.hint)
        return None

    def take_frame(self, frame: AnyEventFrame) -> Outcome:
        """Takes an event: the next one is got, one that is known is passed over, one too far on shows a gap."""
        self._same_log(frame.log_id)
        if self.seq is None or frame.seq <= self.seq:
            return None
        if frame.seq > self.seq + 1:
            return None if self._joining else self._join()
        self.seq = frame.seq
        return Got(frame)

    def _joined(self, joined: Joined) -> Outcome:
        self._same_log(joined.log_id)
        first, self._connected, self._joining = self._connected, False, False
        if first and joined.head < (self.seq or 0):  # an API that is behind its log would have read it first
            raise LogChanged(
                f"room {self.room} ends at event {joined.head}, and event {self.seq} was there before",
                hint="forget what you have of it and begin anew",
            )
        if self.seq is None:
            self.seq, self.snapshot = joined.seq, joined.snapshot
        elif joined.seq > self.seq:  # more was missed than is sent again
            return Filling(self.seq, joined.seq)
        return None

    def _beat(self, head: int) -> Outcome:
        """Notices a lost tail, or a lost answer: what one heartbeat found has still not come when the next is there."""
        lost = self._behind > (self.seq or 0)
        self._behind = max(head, (self.seq or 0) + self._joining)
        if lost:
            return self._join()
        return Steady() if not self._joining and head <= (self.seq or 0) else None

    def _same_log(self, log_id: str) -> None:
        if self.log_id is not None and log_id != self.log_id:
            raise LogChanged(
                f"room {self.room} has another log than before", hint="forget what you have of it and begin anew"
            )
        self.log_id = log_id


def read(text: str | bytes) -> Any:  # noqa: ANN401 - one of the models, or None
    """Returns a message, None for one of a type that a newer API has."""
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if first["type"] == "union_tag_invalid":
            return None
        raise AnswerUnreadable(f"a frame cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
