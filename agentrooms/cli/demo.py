"""A room of simulated agents paced in wall time: events come one by one, at a speed people can read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from agentrooms.actors.messages import Committed, Message
from agentrooms.cli.lines import Line, Reader
from agentrooms.cli.live import Scene
from agentrooms.cli.report import outcome, print_deals
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.deal import DealCertified, DealCompleted, DealFailed, DealLocked
from agentrooms.domain.event import Event
from agentrooms.domain.room import ActPosted, Room, RoomStatus
from agentrooms.sim.engine import Engine
from agentrooms.sim.genesis import WATCHER
from agentrooms.sim.settings import preset

LINES_KEPT = 200
FLOORS_KEPT = 200

# Pauses at speed 1, in seconds. Before the first price, agents only arrive: that goes quickly.
SAID_S = 0.7
DEAL_S = 0.5
CAME_S = 0.25
ARRIVING_S = 0.1
SILENT_ROUND_S = 0.06
SILENCE_S_MAX = 0.4


class Demo:
    """Rooms played one after the other. `wait` sleeps and tells whether to go on."""

    def __init__(self, *, preset: str, speed: float, wait: Callable[[float], bool]) -> None:
        self.wait = wait
        self.over = False
        self._preset = preset
        self._speed = speed

    def open(self, seed: int, number: int) -> None:
        """Opens the next room."""
        self.seed, self.number, self.over = seed, number, False
        self._engine = Engine(preset(self._preset, seed))
        self._reader = Reader(self._engine.room)
        self._lines: deque[Line] = deque(maxlen=LINES_KEPT)
        self._floors: deque[int] = deque(maxlen=FLOORS_KEPT)
        self._round = 0

    @property
    def room(self) -> Room:
        """The room as far as it has been shown."""
        return self._reader.room

    def play(self) -> Iterator[Line | None]:
        """Yields each event's line at its time, None for one without; ends early when `wait` says so."""
        begun = False
        for committed in self._committed():
            skipped = max(0, committed.round - self._round - 1)
            self._round = committed.round
            if begun and skipped and not self._pause(min(skipped * SILENT_ROUND_S, SILENCE_S_MAX)):
                return
            for event in committed.events:
                line = self._reader.read(event)
                if line is not None:
                    self._lines.append(line)
                self._note_floor()
                yield line
                begun = begun or isinstance(event, ActPosted)
                if not self._pause(_pause_s(event, begun=begun)):
                    return
        self._engine.finish()
        self.over = True

    def scene(self) -> Scene:
        """Returns what a frame shows now."""
        return Scene(
            room=self.room,
            lines=tuple(self._lines),
            floors=tuple(self._floors),
            about=f"seed {self.seed}  round {self._round}  speed {self._speed:g}x  {self._preset}  room {self.number}",
            keys="Ctrl-C ends",
        )

    def title(self) -> str:
        """Returns the line a plain demo begins with."""
        settings = self._engine.settings
        return (
            f"{self.room.name}: {settings.buyers} buyers, {settings.sellers} sellers, "
            f"preset {self._preset}, seed {self.seed}"
        )

    def print_end(self) -> None:
        """Prints what came out of a room that has closed."""
        from agentrooms.cli.console import next_steps, out

        out().print(f"Room {self.number}, seed {self.seed}: {outcome(self.room)}.", style="bold", soft_wrap=True)
        print_deals(self.room)
        next_steps(f"agentrooms swarm run {self._preset} --seed {self.seed} --out runs/{self.seed}")

    def farewell(self) -> str:
        """Returns how far the room had come when the demo was ended."""
        again = f"Seen again with `agentrooms up --preset {self._preset} --seed {self.seed}`."
        if self.room.status is RoomStatus.INACTIVE:
            return f"Ended after room {self.number}: {outcome(self.room)}. {again}"
        live = len(self.room.live_deals())
        under_way = f", {live} under way" if live else ""
        return f"Ended in round {self._round} of room {self.number}: {outcome(self.room)}{under_way}. {again}"

    def _committed(self) -> Iterator[Committed]:
        seen: deque[Message] = deque()
        self._engine.runtime.watch(WATCHER, seen.append)
        while self._engine.runtime.step():
            while seen:
                message = seen.popleft()
                if isinstance(message, Committed):
                    yield message

    def _pause(self, seconds: float) -> bool:
        return self.wait(seconds / self._speed)

    def _note_floor(self) -> None:
        floor = self.room.floor
        if floor is not None and (not self._floors or self._floors[-1] != floor):
            self._floors.append(floor)


def _pause_s(event: Event, *, begun: bool) -> float:
    match event:
        case ActPosted():
            return SAID_S
        case DealLocked() | DealCertified() | DealCompleted() | DealFailed():
            return DEAL_S
        case AgentSpawned():
            return CAME_S if begun else ARRIVING_S
    return 0.0
