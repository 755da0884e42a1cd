"""The runtime port and `LocalRuntime`, its adapter in one process with a virtual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from agentrooms.actors.messages import Message
from agentrooms.errors import AgentroomsError

MESSAGES_MAX = 1_000_000  # waiting at once; more means that something sends without end


class Send(NamedTuple):
    """An actor's wish that a message reach an address, after a delay in milliseconds."""

    to: str
    message: Message
    delay_ms: int = 0


class Actor(Protocol):
    """Plain state behind an address. One message at a time; what it does to others are the sends it returns."""

    def receive(self, message: Message) -> list[Send]:
        """Handles one message."""


class RuntimeOverflow(AgentroomsError):
    """More messages wait than any healthy run has."""


class Runtime(Protocol):
    """Where actors live. Delivery keeps the order of one sender's messages to one address."""

    def place(self, address: str, make: Callable[[], Actor]) -> None:
        """Hosts an actor; `make` is called now and again whenever the actor must be rebuilt."""

    def tell(self, to: str, message: Message, delay_ms: int = 0) -> None:
        """Sends a message from outside."""


class LocalRuntime:
    """All actors in one loop, single-threaded; virtual time passes only between messages."""

    def __init__(self, make: Callable[[str], Actor] | None = None) -> None:
        """`make` makes the actor of an address with a kind (`kind:id`) that nobody placed, when it is first spoken to."""
        self.now_ms = 0
        self._make = make
        self._actors: dict[str, Actor] = {}
        self._makers: dict[str, Callable[[], Actor]] = {}
        self._queue: list[tuple[int, int, str, Message]] = []
        self._sent = 0
        self._watchers: dict[str, list[Callable[[Message], None]]] = {}

    def place(self, address: str, make: Callable[[], Actor]) -> None:
        """Hosts an actor at an address."""
        self._makers[address] = make
        self._actors[address] = make()

    def rebuild(self, address: str) -> None:
        """Throws an actor away and makes it anew, as after a crash. Messages to it are kept."""
        maker = self._makers.get(address) or (partial(self._make, address) if self._make else None)
        assert maker is not None, f"{address} was never placed"
        self._actors[address] = maker()

    def watch(self, address: str, see: Callable[[Message], None]) -> None:
        """Calls `see` with every message to an address that is nobody's, such as a screen."""
        self._watchers.setdefault(address, []).append(see)

    def tell(self, to: str, message: Message, delay_ms: int = 0) -> None:
        """Queues a message. Raises RuntimeOverflow beyond MESSAGES_MAX."""
        if len(self._queue) >= MESSAGES_MAX:
            raise RuntimeOverflow(f"{MESSAGES_MAX} messages wait, the next one for {to}")
        self._sent += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._sent, to, message))

    def step(self) -> bool:
        """Delivers the next message; returns False when none waits."""
        if not self._queue:
            return False
        self.now_ms, _order, to, message = heapq.heappop(self._queue)
        actor = self._actors.get(to)
        if actor is None and self._make is not None and ":" in to:
            actor = self._actors[to] = self._make(to)
        if actor is not None:
            for send in actor.receive(message):
                self.tell(*send)
        for see in self._watchers.get(to, ()):
            see(message)
        return True

    def next_at_ms(self) -> int | None:
        """Returns the virtual time of the next message, None when none waits."""
        return self._queue[0][0] if self._queue else None

    def run(self) -> None:
        """Delivers until no message waits."""
        while self.step():
            pass
