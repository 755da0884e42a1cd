"""A room's recorded log as the store that its actors see when they decide once more.

What other chains wrote is shown no earlier than it is needed: a room looked at the log some time between two
of its appends, and nobody wrote down when. The least that gives what is recorded is what it had seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from agentrooms.actors import messages
from agentrooms.actors.messages import Command
from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.room import CloseReason, PersonSpoke, RoomClosed
from agentrooms.domain.terms import LeaveReason
from agentrooms.events.journal import LOCK_TYPES
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import PLATFORM, Recorded
from agentrooms.events.store import EVERYTHING, Condition, Conflict, Positioned, Query, StoredEvent
from agentrooms.events.tags import cmd_tag, command_tag, wallet_tag

_COMMAND = command_tag("")


@dataclass(slots=True)
class Due:
    """One recorded append of the room, and what other chains wrote between it and the one before."""

    round: int
    lines: list[tuple[int, Recorded]]
    others: list[Recorded] = field(default_factory=list)


class Parted(Exception):
    """What comes out is not what was recorded; `line` counts within the archive."""

    def __init__(self, due: Due, recomputed: Sequence[bytes] | None, why: str = "") -> None:
        super().__init__(why)
        lines = recomputed if recomputed is not None else ()
        pairs = zip(due.lines, lines, strict=False)
        least = min(len(due.lines), len(lines))
        shared = next((n for n, ((_number, r), line) in enumerate(pairs) if r.line != line), least)
        number, recorded = due.lines[min(shared, len(due.lines) - 1)]
        self.why = why if shared < len(due.lines) else "more comes out in this round than is recorded, after this line"
        self.line = number
        self.recorded: bytes | None = recorded.line if shared < len(due.lines) else None
        self.recomputed: bytes | None = lines[shared] if shared < len(lines) else None


class Recording:
    """An event store whose appends count only when they are those recorded, one after the other."""

    def __init__(self, entries: Sequence[tuple[int, Recorded]], room: str) -> None:
        """`entries` are all lines in the log's order, with their numbers in the archive."""
        self.room = room
        self.again: Callable[[], None] = lambda: None  # called before a round is cleared once more
        self.done_round = 0
        self._store = MemoryEventStore()
        self._dues = _dues(entries, room)
        self._next = 0
        opening = self._dues[0]
        self._show(*opening.others, *(recorded for _number, recorded in opening.lines))
        self._next = 1

    @property
    def due(self) -> Due | None:
        """The room's next recorded append, None after the last."""
        return self._dues[self._next] if self._next < len(self._dues) else None

    def reveal(self) -> bool:
        """Shows one line more of what other chains wrote before the next append; tells whether there was one."""
        due = self.due
        if due is None or not due.others:
            return False
        self._show(due.others.pop(0))
        self.again()
        return True

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Takes the recorded append; another one meets a conflict while other chains have more. Raises Parted."""
        due = self.due
        assert due is not None, "rounds are played up to the last recorded one"
        lines, recorded = [event.data for event in events], [r.line for _number, r in due.lines]
        cut = self._next == len(self._dues) - 1 and lines[: len(recorded)] == recorded
        if lines != recorded and not cut:
            if self.reveal():
                return Conflict(condition.query, condition.after)
            raise Parted(due, lines)
        self._show(*due.others)
        self.done_round, self._next = due.round, self._next + 1
        return self._put(list(events))

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns what has been shown or appended so far."""
        return self._store.read(query, after=after, limit=limit)

    def head(self) -> int:
        """Returns the last position so far."""
        return self._store.head()

    def _show(self, *recorded: Recorded) -> None:
        if recorded:
            self._put([StoredEvent(r.type, r.line, _tags(r)) for r in recorded])

    def _put(self, events: Sequence[StoredEvent]) -> int:
        outcome = self._store.append(events, Condition(EVERYTHING, self._store.head()))
        assert not isinstance(outcome, Conflict), "nobody else writes here"
        return outcome


def command_of(recorded: Recorded) -> Command | None:
    """Returns the command of a person whose effect an event is, None for another's effect."""
    id_ = next((tag.removeprefix(_COMMAND) for tag in recorded.tags if tag.startswith(_COMMAND)), "")
    match recorded.event:
        case AgentSpawned() as spawned:
            return messages.Spawn(spawned, id_)
        case AgentPaused(agent=agent):
            return messages.Pause(agent, id_)
        case AgentResumed(agent=agent):
            return messages.Resume(agent, id_)
        case AgentReconfigured() as made:
            return messages.Reconfigure(made.agent, made.strategy, made.style, made.mandate_hash, id_)
        case PersonSpoke() as spoke:
            return messages.Speak(spoke, id_)
        case AgentLeft(reason=LeaveReason.USER_REMOVED) as left:
            return messages.Remove(left.agent, left.reason, id_)
        case RoomClosed(reason=CloseReason.REQUESTED) | AgentLeft(reason=LeaveReason.ROOM_CLOSED):
            return messages.Close(id_)
    return None


def _dues(entries: Sequence[tuple[int, Recorded]], room: str) -> list[Due]:
    """Returns the room's appends in order, the first is its opening; of other chains only what bears on its locks."""
    dues: list[Due] = []
    others: list[Recorded] = []
    owners = {wallet_tag(r.event.owner) for _number, r in entries if isinstance(r.event, AgentSpawned)}
    for (chain, cmd), group in groupby(entries, key=lambda entry: (entry[1].chain, entry[1].cmd)):
        lines = list(group)
        if chain != room:
            others += [
                r for _number, r in lines if r.type in LOCK_TYPES and (r.chain != PLATFORM or owners & {*r.tags})
            ]
            continue
        number = cmd.rpartition(":")[2]
        round_ = int(number) if dues and number.isascii() and number.isdigit() else 0
        dues.append(Due(round_, lines, others))
        others = []
    assert dues, "a room's log begins with its opening"
    return dues


def _tags(recorded: Recorded) -> tuple[str, ...]:
    """Returns the tags under which an event is stored: its own, and those of the commands that caused it."""
    commands = [recorded.cmd, *(t.removeprefix(_COMMAND) for t in recorded.tags if t.startswith(_COMMAND))]
    return (*recorded.tags, *map(cmd_tag, commands))
