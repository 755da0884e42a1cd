"""`RayRuntime`: one room's message loop, with the actors it speaks to in Ray processes of their own.

Ray promises each call at most once and no recovery. So every message carries a number, a message without an
answer is sent again, a process that died is made anew from the log, and each answer says which life of the
actor gave it. Time is virtual (it passes when nothing is under way, so a run is the same on any machine) or that
of the wall, where rounds keep a pace and everything else takes as long as it says.
"""

from __future__ import annotations

import heapq
import queue
import secrets
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from agentrooms.actors.messages import Message, Pace, Tick
from agentrooms.actors.runtime import MESSAGES_MAX, Actor, RuntimeOverflow, Send
from agentrooms.errors import AgentroomsError

MAIL_MAX = 10_000  # messages that wait for one actor
RESENDS_MAX = 200  # of one message; then the actor is given up, and the run or room with it
BACKOFF_S = (0.05, 2.0)  # before a message is sent again: at first, and at most
IDLE_S = 0.5  # how long the loop sleeps at most before it looks at itself again


class ActorLost(AgentroomsError):
    """An actor does not answer, however often it is asked and made anew."""


class Reply(NamedTuple):
    """An actor's answer: which life of it spoke, and what it sends."""

    life: str
    sends: list[Send]


class Line(Protocol):
    """The way to one actor in another process."""

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Future[Reply]:
        """Sends a message; the same number again gets the same answer from the same life."""


Connect = Callable[[str], Line]
"""Returns the way to the actor of an address, which is made when there is none. Called again when it was lost."""


class _Call:
    """One message under way to another process."""

    def __init__(self, number: int, message: Message) -> None:
        self.number = number
        self.message = message
        self.attempts = 0
        self.again_s = 0.0  # when to send it again; 0 while an answer may come


class RayRuntime:
    """A loop in one thread. `tell` and `forget` may be called from any other."""

    def __init__(self, connect: Connect, *, virtual: bool, speed: int = 1) -> None:
        """`speed` is how many times room time rounds pass in the wall's, 0 as fast as they go."""
        self.now_ms = 0
        self.heard = False  # whether any actor in another process has answered
        self.restarts = 0  # lives of other actors that this loop has seen end
        self._connect = connect
        self._virtual = virtual
        self._speed = speed
        self._id = secrets.token_hex(8)  # numbers of this loop's calls are its own
        self._numbers = 0
        self._heap: list[tuple[int, int, str, Message]] = []
        self._sent = 0
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._actors: dict[str, Actor] = {}
        self._watchers: dict[str, list[Callable[[Message], None]]] = {}
        self._lines: dict[str, Line] = {}
        self._lives: dict[str, str] = {}
        self._reborn: dict[str, Callable[[], None]] = {}
        self._calls: dict[str, _Call] = {}
        self._mail: dict[str, deque[Message]] = {}
        self._started_s = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether no message is due now."""
        return not self._heap or self._heap[0][0] > self.now_ms

    # --- The port -----------------------------------------------------------------------------------------

    @property
    def speed(self) -> int:
        """How many times room time rounds pass in the wall's, 0 as fast as they go."""
        return self._speed

    def place(self, address: str, make: Callable[[], Actor]) -> None:
        """Hosts an actor in this process."""
        self._actors[address] = make()

    def watch(self, address: str, see: Callable[[Message], None]) -> None:
        """Calls `see` with every message to an address that is nobody's."""
        self._watchers.setdefault(address, []).append(see)

    def on_reborn(self, address: str, then: Callable[[], None]) -> None:
        """Calls `then` when an actor in another process answers for the first time in a new life."""
        self._reborn[address] = then

    def tell(self, to: str, message: Message, delay_ms: int = 0) -> None:
        """Sends a message from outside."""
        self._inbox.put(lambda: self._queue(Send(to, message, delay_ms)))

    def forget(self, address: str) -> None:
        """Drops the way to an actor that is needed no more."""
        self._inbox.put(lambda: self._forget(address))

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Delivers until, checked after each message, `until` holds. Raises what local actors raise."""
        while not until():
            self._step()

    # --- One step -----------------------------------------------------------------------------------------

    def _step(self) -> None:
        while not self._inbox.empty():
            self._inbox.get()()
        self._send_again()
        if not self._virtual:
            self.now_ms = self._wall_ms()
        elif self._heap and not self._calls:
            self.now_ms = max(self.now_ms, self._heap[0][0])
        if self._heap and self._heap[0][0] <= self.now_ms:
            _due, _order, to, message = heapq.heappop(self._heap)
            self._deliver(to, message)
            return
        with suppress(queue.Empty):
            self._inbox.get(timeout=self._sleep_s())()

    def _sleep_s(self) -> float:
        sleeps = [call.again_s - time.monotonic() for call in self._calls.values() if call.again_s]
        if self._heap and not self._virtual:
            sleeps.append((self._heap[0][0] - self._wall_ms()) / 1_000)
        return max(0.0, min([IDLE_S, *sleeps]))

    def _queue(self, send: Send) -> None:
        if isinstance(send.message, Pace):
            self._set_pace(send.message.speed)
            return
        if len(self._heap) >= MESSAGES_MAX:
            raise RuntimeOverflow(f"{MESSAGES_MAX} messages wait, the next one for {send.to}")
        self._sent += 1
        delay_ms = self._paced(send.delay_ms) if isinstance(send.message, Tick) else send.delay_ms
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sent, send.to, send.message))

    def _deliver(self, to: str, message: Message) -> None:
        for see in self._watchers.get(to, ()):
            see(message)
        if to in self._actors:
            for send in self._actors[to].receive(message):
                self._queue(send)
        elif to in self._calls:
            mail = self._mail.setdefault(to, deque())
            if len(mail) >= MAIL_MAX:
                raise ActorLost(f"{MAIL_MAX} messages wait for {to}")
            mail.append(message)
        elif ":" in to:
            self._numbers += 1
            self._calls[to] = _Call(self._numbers, message)
            self._call(to)

    # --- Time ---------------------------------------------------------------------------------------------

    def _wall_ms(self) -> int:
        return int((time.monotonic() - self._started_s) * 1_000)

    def _paced(self, delay_ms: int) -> int:
        if self._virtual:
            return delay_ms
        return delay_ms // self._speed if self._speed else 0

    def _set_pace(self, speed: int) -> None:
        """Lets rounds that wait begin by the new pace."""
        before, self._speed = self._speed, speed
        if self._virtual:
            return
        for n, (due, order, to, message) in enumerate(self._heap):
            if isinstance(message, Tick):
                left_ms = max(0, due - self.now_ms) * (before or 1)
                self._heap[n] = (self.now_ms + self._paced(left_ms), order, to, message)
        heapq.heapify(self._heap)

    # --- Calls to other processes ---------------------------------------------------------------------------

    def _call(self, to: str) -> None:
        call = self._calls[to]
        call.attempts += 1
        call.again_s = 0.0
        if call.attempts > RESENDS_MAX:
            raise ActorLost(
                f"{to} has not answered a {type(call.message).__name__} in {RESENDS_MAX} attempts",
                hint="`agentrooms status` shows which processes live",
            )
        number = call.number
        try:
            if to not in self._lines:
                self._lines[to] = self._connect(to)
            future = self._lines[to].deliver(self._id, number, to, call.message)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, the message has not arrived
            self._failed(to, number, error)
            return
        future.add_done_callback(lambda done: self._inbox.put(lambda: self._answered(to, number, done)))

    def _answered(self, to: str, number: int, done: Future[Reply]) -> None:
        call = self._calls.get(to)
        if call is None or call.number != number:
            return
        error = done.exception()
        if error is not None:
            self._failed(to, number, error)
            return
        reply = done.result()
        del self._calls[to]
        self.heard = True
        for send in reply.sends:
            self._queue(send)
        self._note_life(to, reply.life)
        mail = self._mail.get(to)
        if mail:
            self._deliver(to, mail.popleft())

    def _failed(self, to: str, number: int, _error: BaseException) -> None:
        call = self._calls.get(to)
        if call is None or call.number != number:
            return
        self._lines.pop(to, None)
        first, most = BACKOFF_S
        call.again_s = time.monotonic() + min(most, first * 2 ** min(call.attempts, 10))

    def _send_again(self) -> None:
        for to, call in list(self._calls.items()):
            if call.again_s and call.again_s <= time.monotonic():
                self._call(to)

    def _note_life(self, to: str, life: str) -> None:
        known = self._lives.get(to)
        self._lives[to] = life
        if known == life:
            return
        if known is not None:
            self.restarts += 1
        if to in self._reborn:
            self._reborn[to]()

    def _forget(self, address: str) -> None:
        kept: tuple[dict[str, Any], ...] = (self._lines, self._lives, self._calls, self._mail)
        for one in kept:
            one.pop(address, None)
