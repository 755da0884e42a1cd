"""A process that appends what agents say to rooms, at a steady rate, through the log writer: load for the API's bench.

Each message begins with when it was due (ns, monotonic), so one that had to wait is older.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgspec

from agentrooms.actors.broadcast import publisher
from agentrooms.bench.api_worker import work_on
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Wants
from agentrooms.domain.event import Event
from agentrooms.domain.room import ActPosted, RoomOpened
from agentrooms.domain.terms import ActKind, Mood, Role, StrategyName, Style
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.store import Conflict

AGENTS = 20  # of a room; they speak in turns
ROUND_MS = 1_000
SEQ, STAMP = b'"seq":', b'"message":"'  # before a frame's number, and before the time in its text
STAMP_DIGITS = 19  # of nanoseconds: the length of a message does not change
SAID = "I have seen three of these go this week, and none of them for less than that."


class Talk(msgspec.Struct, frozen=True):
    """Lets every room speak so often a second, for so long."""

    rate: float
    seconds: float


class Said(msgspec.Struct, frozen=True):
    """What was appended: how often in all, the last event of each room, when each append was durable after it was due."""

    events: int
    heads: dict[str, int]
    took_s: float
    durable_s: list[float]
    frames_dropped: int


class Speaker:
    """One room and its writer."""

    def __init__(self, store: LogWriter, number: int) -> None:
        self.room = f"room_{number}"
        self.durable_s: list[float] = []
        self._number, self._said = number, 0
        self._journal = Journal(store, self.room)
        self._append([_opened(self.room), *(_spawned(agent, number) for agent in range(AGENTS))])

    @property
    def head(self) -> int:
        """The number of the room's last event."""
        return self._journal.head.seq

    def speak(self, begin_s: float, every_s: float, times: int) -> None:
        """Appends one message after the other, each when it is due."""
        self.durable_s = []
        for n in range(times):
            due_s = begin_s + n * every_s
            while (left_s := due_s - time.monotonic()) > 0:
                time.sleep(left_s)
            self._said += 1
            self._append([_message(self._said, int(due_s * 1e9))])
            self.durable_s.append(time.monotonic() - due_s)

    def _append(self, events: list[Event]) -> None:
        entries = [Entry(event) for event in events]
        cmd = f"say:{self.room}:{self._said}"
        assert not isinstance(self._journal.append(entries, at_ms=1_000 + self._said, cmd=cmd), Conflict)


def stamped(at_ns: int) -> str:
    """Returns a message that was due then."""
    return f"{at_ns:0{STAMP_DIGITS}d} {SAID}"


def _message(number: int, at_ns: int) -> ActPosted:
    return ActPosted(
        act=ActKind.COMMENT,
        agent=f"agent_{number % AGENTS}",
        mood=Mood.CALM,
        price_usdc_micros=None,
        quote=None,
        refers_to=None,
        round=1 + number // AGENTS,
        text=stamped(at_ns),
        to=None,
        token_id=None,
        wording="bench",
    )


def _opened(room: str) -> RoomOpened:
    return RoomOpened(
        base_grade="common",
        collection="0x" + "c" * 40,
        comparable_by="grade",
        name=f"Bench {room}",
        quote_rounds=10,
        room=room,
        round_ms=ROUND_MS,
        started_at_ms=1_000,
    )


def _spawned(agent: int, room: int) -> AgentSpawned:
    return AgentSpawned(
        agent=f"agent_{agent}",
        avatar="🙂",
        item=None,
        mandate_hash=f"{room:032x}{agent:032x}",
        name=f"Agent {agent}",
        owner=f"0x{agent:040x}",
        role=Role.BUYER,
        round=1,
        strategy=StrategyName.PATIENT,
        style=Style.CASUAL,
        swarm=None,
        wants=Wants(),
    )


def main() -> None:
    """Opens the rooms, then speaks when asked."""
    parser = argparse.ArgumentParser(prog="agentrooms.bench.api_talk")
    for option in ("--dsn", "--schema", "--redis"):
        parser.add_argument(option, required=True)
    parser.add_argument("--rooms", type=int, required=True)
    given = parser.parse_args()
    with closing(LogWriter(given.dsn, given.schema, publish=publisher(given.redis))) as store:
        speakers = [Speaker(store, number) for number in range(given.rooms)]
        with ThreadPoolExecutor(given.rooms) as pool:
            work_on(lambda asked: _talk(asked, speakers, pool, store), Talk)


def _talk(asked: Talk, speakers: list[Speaker], pool: ThreadPoolExecutor, store: LogWriter) -> Said:
    """Lets all rooms speak, one after the other within each beat."""
    every_s, times = 1 / asked.rate, max(1, round(asked.rate * asked.seconds))
    begin_s = time.monotonic()
    speaking = [
        pool.submit(speaker.speak, begin_s + n * every_s / len(speakers), every_s, times)
        for n, speaker in enumerate(speakers)
    ]
    for one in speaking:
        one.result()
    took_s = time.monotonic() - begin_s
    durable_s = [age for speaker in speakers for age in speaker.durable_s]
    heads = {speaker.room: speaker.head for speaker in speakers}
    return Said(times * len(speakers), heads, took_s, durable_s, store.stats().frames_dropped)


if __name__ == "__main__":
    main()
