"""The Ray actor of one room: the room itself and the loop through which it speaks to hosts, settlement and verifiers.

Whatever goes wrong in it, the room is made anew from the log and goes on; only when another writer has taken the
room over does it stay silent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

import msgspec
import ray

from agentrooms.actors.cells import Cell, create
from agentrooms.actors.messages import AskAgain, Committed, Done, Message, Pace, Progressed, Refused, Tick
from agentrooms.actors.plans import RoomPlan, room_address
from agentrooms.actors.ray_runtime import Line, RayRuntime
from agentrooms.actors.remote import LOG, CellLine, connect_parts, find, this_process
from agentrooms.actors.room import RoomActor, RoomLost
from agentrooms.actors.runtime import Actor
from agentrooms.chain.spec import ChainSpec
from agentrooms.domain.agent import AgentLeft
from agentrooms.domain.deal import DealCompleted, DealFailed
from agentrooms.domain.room import RoomStatus

OUTCOMES_MAX = 10_000  # answers to commands that wait to be fetched; older ones are asked for again by their senders
BACKOFF_S = (0.1, 5.0)  # before a room that failed is made anew
SHARED = {"settlement": "settlement"}  # kinds of actors that live in one cell for all rooms

log = logging.getLogger(__name__)


class Mode(msgspec.Struct, frozen=True):
    """How a room's time passes: virtual, or the wall's, with rounds at so many times room time (0: as fast as they go)."""

    virtual: bool
    speed: int = 1


class RoomCell:
    """Hosts a room. Its methods answer at once; the loop runs in a thread of its own."""

    def __init__(self, scope: str, plan: RoomPlan, chain: ChainSpec, mode: Mode) -> None:
        self._scope = scope
        self._plan = plan
        self._chain = chain
        self._mode = mode
        self._parts = connect_parts(scope, chain)
        self._address = room_address(plan.config.room)
        self._loop: RayRuntime | None = None
        self._room: RoomActor | None = None
        self._speed = mode.speed
        self._waiting: deque[Message] = deque(maxlen=OUTCOMES_MAX)  # told before the loop was there
        self._outcomes: deque[tuple[str, str | None]] = deque(maxlen=OUTCOMES_MAX)
        self._hosts: set[str] = set()
        self._progress: dict[str, int | None] = {}  # of live deals, not shown yet; None: over
        self._showing: Any = None  # the call that shows it, while that is under way
        self._failures = 0
        self._trouble = ""
        self._over = False
        threading.Thread(target=self._live, name=self._address, daemon=True).start()

    # --- What others ask --------------------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Passes a message to the room."""
        if isinstance(message, Pace):
            self._speed = message.speed  # also of the room's next life
        loop = self._loop
        if loop is None:
            self._waiting.append(message)
        else:
            loop.tell(self._address, message)

    def progress(self) -> dict[str, Any]:
        """Returns where the room stands, and what troubles it."""
        room = self._room.room if self._room is not None else None
        return {
            **this_process(),
            "round": room.round if room is not None else 0,
            "deals": len(room.deals) if room is not None else 0,
            "present": sum(a.present for a in room.agents.values()) if room is not None else 0,
            "heard": self._loop is not None and self._loop.heard,
            "over": self._over,
            "speed": self._loop.speed if self._loop is not None else self._speed,
            "restarts": self._loop.restarts if self._loop is not None else 0,
            "failures": self._failures,
            "trouble": self._trouble,
        }

    def report(self) -> dict[str, Any]:
        """Returns the same, and hands out, once, which commands were taken, each with why it was refused or None."""
        outcomes = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        return {**self.progress(), "outcomes": outcomes}

    def health(self) -> dict[str, Any]:
        """Returns this process's id and where the room stands."""
        return self.progress()

    # --- The loop ---------------------------------------------------------------------------------------------

    def _live(self) -> None:
        wait = BACKOFF_S[0]
        while not self._over:
            started = time.monotonic()
            try:
                self._run()
            except RoomLost as error:
                self._trouble, self._over = str(error), True
            except Exception as error:
                log.exception("room %s failed", self._plan.config.room)
                self._failures += 1
                self._trouble = f"{type(error).__name__}: {error}"
                wait = BACKOFF_S[0] if time.monotonic() - started > BACKOFF_S[1] else min(BACKOFF_S[1], wait * 2)
                time.sleep(wait)

    def _run(self) -> None:
        """Makes the room from the log and lets it live until it has closed."""
        loop = RayRuntime(self._connect, virtual=self._mode.virtual, speed=self._speed)
        loop.watch(self._plan.config.watcher, self._see)
        loop.on_reborn(self._plan.config.settlement, lambda: loop.tell(self._address, AskAgain()))
        loop.place(self._address, self._make)
        assert self._room is not None
        room = self._room
        hosting = self._plan.config.hosting
        self._hosts |= {hosting.host_of(agent) for agent in room.room.agents.values()}  # also of its former lives
        self._retire(keep=set(hosting.hosts_of(room.room)))
        self._loop, self._trouble = loop, ""
        while self._waiting:
            loop.tell(self._address, self._waiting.popleft())
        loop.tell(self._address, Tick(room.room.round + 1))
        loop.run(until=lambda: room.room.status is RoomStatus.INACTIVE and loop.idle)  # its last answers are noted
        self._over, self._trouble = True, ""
        self._retire(keep=set())

    def _make(self) -> Actor:
        made = self._plan.make(self._address, self._parts)
        assert isinstance(made, RoomActor)
        self._room = made
        return made

    def _see(self, message: Message) -> None:
        """Notes what became of commands, shows how far deals are, and lets hosts go whose agents have all left."""
        match message:
            case Progressed():
                self._progress[message.deal] = message.percent
            case Done():
                self._outcomes.append((message.id, None))
            case Refused() if message.id:
                self._outcomes.append((message.id, message.why))
            case Committed() if self._room is not None:
                if any(isinstance(event, AgentLeft) for event in message.events):
                    self._retire(keep=set(self._plan.config.hosting.hosts_of(self._room.room)))
                ended = (event.deal for event in message.events if isinstance(event, DealCompleted | DealFailed))
                self._progress.update(dict.fromkeys(ended))
        if self._progress and not self._mode.virtual:
            self._show_progress()

    def _show_progress(self) -> None:
        """Tells the log's process, which has Redis, how far deals are; while it is being told, only the newest waits."""
        if self._showing is not None and not ray.wait([self._showing], timeout=0)[0]:
            return
        with suppress(ValueError):  # it is being made anew
            self._showing = find(self._scope, LOG).progress.remote(self._plan.config.room, self._progress)
        self._progress = {}

    def _connect(self, address: str) -> Line:
        kind = address.partition(":")[0]
        if kind in {"host", "agent"}:
            self._hosts.add(address)
            return CellLine(create(Cell, self._scope, address, self._scope, self._plan, self._chain))
        return CellLine(find(self._scope, SHARED.get(kind, address)))

    def _retire(self, keep: set[str]) -> None:
        for address in sorted(self._hosts - keep):
            self._hosts.discard(address)
            if self._loop is not None:
                self._loop.forget(address)
            try:
                ray.kill(find(self._scope, address))
            except ValueError:
                continue
