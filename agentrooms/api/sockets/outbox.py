"""What waits to be sent to one client: bounded, in order, and of some messages only the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from enum import IntEnum

from agentrooms.api.metrics import FRAMES_CONFLATED, FRAMES_DELIVERED, FRAMES_DROPPED
from agentrooms.api.models.base import Wire
from agentrooms.api.sockets.framing import frame_of

WAITING_MAX = 1_000  # messages; a client that lets more wait is told to come again
WAITING_CHARACTERS_MAX = 8_000_000  # of them all, but for one that is longer and waits alone
NEWEST_MAX = 1_000  # messages of which only the newest is kept


class Close(IntEnum):
    """Why a socket is closed, in the codes of the protocol."""

    TOO_LARGE = 1009
    RESTART = 1012
    TRY_LATER = 1013
    MALFORMED = 4400
    UNAUTHORISED = 4401
    ORIGIN = 4403
    AUTH_TIMEOUT = 4408
    LAGGED = 4409
    RATE_LIMITED = 4429


LAGGED = "lagged, resume with after"


class Message:
    """One message, encoded once for all clients that get it."""

    __slots__ = ("_frame", "_packet", "text", "type")

    def __init__(self, type: str, text: str) -> None:
        self.type = type
        self.text = text  # as JSON
        self._frame: bytes | None = None
        self._packet: str | None = None

    @classmethod
    def of(cls, model: Wire, type: str) -> Message:
        """Returns the message of a model."""
        return cls(type, model.model_dump_json())

    @property
    def frame(self) -> bytes:
        """The message as a frame of WebSocket."""
        if self._frame is None:
            self._frame = frame_of(self.text)
        return self._frame

    @property
    def packet(self) -> str:
        """The message as an event of Socket.IO."""
        if self._packet is None:
            self._packet = f'2["{self.type}",{self.text}]'
        return self._packet


class Outbox:
    """One client's messages; whoever offers never waits, one task takes."""

    __slots__ = ("_characters", "_newest", "_taken", "_waiter", "_waiting", "_waiting_max", "closing", "reason")

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting: list[Message] = []
        self._newest: dict[Hashable, Message] = {}
        self._waiting_max = waiting_max
        self._characters = 0  # of what waits
        self._waiter: asyncio.Future[None] | None = None
        self._taken: asyncio.Future[None] | None = None  # what waited was
        self.closing: Close | None = None
        self.reason = ""

    def offer(self, messages: Sequence[Message], characters: int | None = None) -> None:
        """Queues messages, of so many characters if that is known.

        A client for which there is no room is closed, and what waited is dropped.
        """
        if self.closing is not None:
            return
        count = length(messages) if characters is None else characters
        too_long = bool(self._waiting) and self._characters + count > WAITING_CHARACTERS_MAX
        if too_long or len(self._waiting) + len(messages) > self._waiting_max:
            self.drop(Close.LAGGED, LAGGED)
            return
        self._waiting.extend(messages)
        self._characters += count
        self._wake()

    async def room(self) -> None:
        """Returns once what waits is taken, or never will be: so much is to be offered that it must find none."""
        if self._waiting and self.closing is None:
            self._taken = self._taken or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._taken)

    def offer_newest(self, key: Hashable, message: Message) -> None:
        """Queues a message in place of the one of the same key that still waits. It goes out after what is queued."""
        if self.closing is not None:
            return
        if len(self._newest) >= NEWEST_MAX and key not in self._newest:
            self.drop(Close.LAGGED, LAGGED)
            return
        if key in self._newest:
            FRAMES_CONFLATED.inc()
        self._newest[key] = message
        self._wake()

    def forget(self, keys: Sequence[Hashable]) -> None:
        """Takes messages out of which only the newest is kept."""
        for key in keys:
            self._newest.pop(key, None)

    def close(self, code: Close, reason: str) -> None:
        """Closes the client once it has what waits. The first reason stands."""
        if self.closing is None:
            self.closing, self.reason = code, reason
            self._wake()
            self._make_room()

    def drop(self, code: Close, reason: str) -> None:
        """Closes the client at once."""
        self.close(code, reason)
        FRAMES_DROPPED.inc(len(self._waiting) + len(self._newest))
        self._waiting, self._newest, self._characters = [], {}, 0

    async def take(self) -> list[Message]:
        """Returns what waits, as soon as there is any; nothing when the client is to be closed."""
        while not self._waiting and not self._newest:
            if self.closing is not None:
                return []
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        taken, self._waiting, self._characters = self._waiting, [], 0
        self._make_room()
        if self._newest:
            taken.extend(self._newest.values())
            self._newest = {}
        FRAMES_DELIVERED.inc(len(taken))
        return taken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _make_room(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.set_result(None)


def length(messages: Sequence[Message]) -> int:
    """Returns how many characters messages have."""
    return sum(len(one.text) for one in messages)
