"""What one client saw of a room, held against the room's log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentrooms.api.frames import frame_of
from agentrooms.api.models.room_state import room_state
from agentrooms.domain.folding import fold
from agentrooms.domain.room import PersonSpoke, Room
from agentrooms.events.record import Recorded

FAULTS_MAX = 20  # that are kept of one client

Frame = dict[str, Any]


class Seen:
    """The events that a client has of a room: those behind event `first` - 1, each as it came."""

    def __init__(self, who: str, room: str) -> None:
        self.who = who
        self.room = room
        self.first: int | None = None
        self.frames: list[Frame] = []
        self.log_id: str | None = None
        self.faults: list[str] = []
        self.snapshots: list[tuple[int, Frame, Sequence[Frame]]] = []
        self.acked: dict[str, str] = {}
        """What it has said and knows to be said: the text by its id."""

    @property
    def last(self) -> int | None:
        """The number of its last event, None while it has not begun."""
        return self.first - 1 + len(self.frames) if self.first is not None else None

    def begin(self, after: int) -> None:
        """Begins behind an event."""
        self.first = after + 1

    def take(self, frame: Frame) -> None:
        """Takes an event that the client holds to be its next."""
        self.frames.append(frame)

    def again(self, frame: Frame) -> None:
        """Takes an event that came once more because the client asked for it."""
        assert self.first is not None
        place = frame["seq"] - self.first
        if place >= 0 and self.frames[place] != frame:
            self.fault(f"event {frame['seq']} came again as another")

    def fault(self, what: str) -> None:
        """Notes what must not happen."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(what)


def frames_of(events: Sequence[Recorded]) -> list[Frame]:
    """Returns the frames that a room's whole log is on the wire."""
    room = fold(Room(), (one.event for one in events))
    return [json.loads(frame_of(one, room).model_dump_json()) for one in events]


def check_seen(seen: Seen, log: Sequence[Frame]) -> list[str]:
    """Checks that a client has exactly the events of the log from its first one on, in order and none doubled."""
    wrong = [f"{seen.who}: {fault}" for fault in seen.faults]
    if seen.first is None:
        return [*wrong, f"{seen.who}: never saw room {seen.room}"]
    due = log[seen.first - 1 :]
    for got, frame in zip(seen.frames, due, strict=False):
        if got != frame:
            return [*wrong, f"{seen.who}: {_difference(got, frame)}"]
    if len(seen.frames) != len(due):
        ends = seen.frames[-1]["seq"] if seen.frames else seen.first - 1
        return [
            *wrong,
            f"{seen.who}: has {len(seen.frames)} events up to {ends}, the log has {len(due)} up to {len(log)}",
        ]
    return wrong


def _difference(got: Frame, due: Frame) -> str:
    if got.get("seq") == due["seq"]:
        fields = sorted(name for name in got.keys() | due.keys() if got.get(name) != due.get(name))
        return f"event {due['seq']} is another than in the log: {', '.join(fields)}"
    return f"event {got.get('seq')} where the log has {due['seq']}"


def check_snapshots(seen: Seen, events: Sequence[Recorded], log: Sequence[Frame]) -> list[str]:
    """Checks the states of the room that a client was shown, and the last events that came with them."""
    wrong = []
    for seq, shown, recent in seen.snapshots:
        state = room_state(fold(Room(), (one.event for one in events[:seq])), seq)
        if shown != json.loads(state.model_dump_json()):
            wrong.append(f"{seen.who}: the room after event {seq} was shown as another than it was")
        if list(recent) != list(log[seq - len(recent) : seq]):
            wrong.append(f"{seen.who}: the last events before {seq} were shown as others than they were")
    return wrong


def check_words(acked: Iterable[tuple[str, Mapping[str, str]]], events: Sequence[Recorded]) -> list[str]:
    """Checks that what people said is in a room's log once at most, and once if they know it to be said.

    `acked` is what each wallet was acknowledged, by the ids of messages.
    """
    said = Counter((one.event.wallet, one.event.text) for one in events if isinstance(one.event, PersonSpoke))
    wrong = [f"{text!r} of {wallet} is {times} times in the log" for (wallet, text), times in said.items() if times > 1]
    known = [(wallet, text) for wallet, texts in acked for text in texts.values()]
    return wrong + [
        f"{text!r} of {wallet} was acknowledged and is not in the log"
        for wallet, text in known
        if (wallet, text) not in said
    ]
