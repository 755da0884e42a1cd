"""One command, one effect; rounds that only grow; room time that is a function of the round."""

from __future__ import annotations

from typing import ClassVar

from agentrooms.domain.room import RoomOpened
from agentrooms.events.record import PLATFORM
from agentrooms.sim.audit.source import Source, command_of
from agentrooms.sim.audit.walk import EVERY, Handler, Line, Rule


class Commands(Rule):
    """Invariant 6, and the determinism contract's time."""

    name: ClassVar[str] = "commands"
    compared: ClassVar[str] = "every command has one effect in one place, rounds grow, and room time follows the round"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._first: dict[str, int] = {}
        self._of_command: dict[str, tuple[int, tuple[str, str]]] = {}
        self._current = ("", "")
        self._round = 0
        self._due_ms = 0
        self._rounds: dict[str, int] = {}
        self._platform_ms = 0
        self._completed = 0
        self._swarm_room: dict[str, str] = {}
        self._closed: set[str] = set()

    def handlers(self) -> dict[str, Handler]:
        """Every line, and some once more."""
        of_all: dict[str, Handler] = {EVERY: self._line, "room.opened": self._opened}
        if self.live:  # swarms of other rooms, whose deals are not here
            return of_all
        return {
            **of_all,
            "room.closed": self._room_closed,
            "swarm.started": self._swarm_started,
            "swarm.completed": self._swarm_completed,
            "deal.completed": self._deal_completed,
        }

    def finish(self) -> None:
        """A run's log ends when its rooms have closed."""
        self.found.count = len(self._first)
        if self.live:
            return
        for chain, floor in self.floors.items():
            if chain != PLATFORM and not floor.closed:
                self.found.wrong(0, f"the log ends before room {chain} has closed")

    def _line(self, line: Line) -> None:
        recorded = line.recorded
        if (recorded.chain, recorded.cmd) != self._current:
            self._begins(line)
        self._once(line)
        if recorded.chain == PLATFORM:
            if recorded.at_ms < self._platform_ms and not self.live:  # live, that is the clock of people
                self.found.wrong(line.number, f"time goes back from {self._platform_ms} to {recorded.at_ms}")
            self._platform_ms = max(self._platform_ms, recorded.at_ms)
            return
        if recorded.at_ms != self._due_ms and not self.partial:
            self.found.wrong(line.number, f"{recorded.cmd} is at {self._due_ms} ms, the line says {recorded.at_ms}")
        said = getattr(recorded.event, "round", self._round)
        if said != self._round:
            self.found.wrong(line.number, f"the event says round {said}, its command is {recorded.cmd}")

    def _once(self, line: Line) -> None:
        """Checks that what a person's command caused stands in one append only."""
        command = command_of(line.recorded)
        if command:
            place = self._of_command.setdefault(command, (line.number, self._current))
            if place[1] != self._current:
                self.found.wrong(line.number, f"command {command} had its effect at line {place[0]} already")

    def _begins(self, line: Line) -> None:
        """Checks a command when its first line comes: it is new, and in a room the opening or a round that grows."""
        recorded = line.recorded
        chain, cmd = self._current = recorded.chain, recorded.cmd
        first = self._first.setdefault(cmd, line.number)
        if first != line.number:
            self.found.wrong(line.number, f"command {cmd} had its effect at line {first} already")
        if chain == PLATFORM:
            if cmd.startswith(("round:", "open:")):
                self.found.wrong(line.number, f"command {cmd} belongs to a room, not to the chain of roomless events")
            return
        round_, opened = _round_of(cmd, chain), line.floor.opened
        if round_ is None:
            self.found.wrong(line.number, f"command {cmd!r} is not the opening or a round of room {chain}")
        elif round_ <= self._rounds.get(chain, -1):
            self.found.wrong(line.number, f"round {round_} comes after round {self._rounds[chain]}")
        if isinstance(recorded.event, RoomOpened):
            opened = recorded.event
        self._round = self._rounds[chain] = round_ or 0
        if opened is None and not self.partial:
            self.found.wrong(line.number, f"room {chain} has not opened yet")
        self._due_ms = opened.started_at_ms + self._round * opened.round_ms if opened is not None else 0

    def _opened(self, line: Line) -> None:
        event: RoomOpened = line.event
        if (event.room, line.recorded.seq, line.recorded.cmd) != (line.recorded.chain, 1, f"open:{event.room}"):
            self.found.wrong(
                line.number, f"room {event.room} opens in chain {line.recorded.chain}, not first in its own"
            )
        settings = self.manifest.settings if self.manifest is not None else None
        if settings is not None:
            ours = (event.quote_rounds, event.round_ms, event.started_at_ms)
            theirs = (settings.quote_rounds, settings.round_ms, settings.started_at_ms)
            if ours != theirs:
                self.found.wrong(line.number, f"quote rounds, round and start are {ours}, the manifest says {theirs}")

    def _room_closed(self, line: Line) -> None:
        self._closed.add(line.recorded.chain)

    def _deal_completed(self, _line: Line) -> None:
        self._completed += 1

    def _swarm_started(self, line: Line) -> None:
        event = line.event
        self._swarm_room[event.swarm] = event.room
        settings = self.manifest.settings if self.manifest is not None else None
        if settings is not None:
            ours = (event.preset, event.buyers, event.sellers)
            theirs = (settings.preset, settings.buyers, settings.sellers)
            if ours != theirs:
                self.found.wrong(line.number, f"preset and sizes are {ours}, the manifest says {theirs}")

    def _swarm_completed(self, line: Line) -> None:
        event = line.event
        room = self._swarm_room.get(event.swarm)
        if room not in self._closed:
            self.found.wrong(
                line.number, f"swarm {event.swarm} completes before its room {room or '(none)'} has closed"
            )
        if event.deals_completed != self._completed:
            self.found.wrong(line.number, f"{event.deals_completed} deals are claimed, {self._completed} completed")


def _round_of(cmd: str, chain: str) -> int | None:
    """Returns the round a room's command names, 0 for its opening, None for another form."""
    if cmd == f"open:{chain}":
        return 0
    digits = cmd.removeprefix(f"round:{chain}:")
    known = digits != cmd and digits.isascii() and digits.isdigit() and len(digits) <= 18
    return int(digits) if known and str(int(digits)) == digits else None
