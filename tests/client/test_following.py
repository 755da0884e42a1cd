"""Following a room over a line that loses, doubles and breaks: each event once, in order."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.client.following import (
    FeedRefused,
    Filling,
    Following,
    Got,
    Joining,
    LogChanged,
    NotNow,
    Outcome,
    Steady,
)
from agentrooms.client.problem import AnswerUnreadable

ROOM, LOG = "room_a", "a3f0c2d4e5b6"
RECENT = 3  # events that are sent again; more are read from the log
STEPS = st.lists(
    st.sampled_from(["event", "event", "deliver", "deliver", "deliver", "lose", "double", "beat", "break"])
)


def frame(seq: int, log_id: str = LOG) -> dict[str, Any]:
    return {"type": "private", "roomId": ROOM, "logId": log_id, "seq": seq, "ts": "2026-11-22T10:00:00.000Z", "v": 1}


def joined(head: int, after: int | None, *, log_id: str = LOG) -> dict[str, Any]:
    """What a client is told that joins behind an event, or anywhere."""
    recovered = after is not None and head - RECENT <= after <= head
    seq = after if recovered else head
    where = {"roomId": ROOM, "logId": log_id, "head": head, "recovered": recovered, "seq": seq}
    return {"type": "joined", **where, "snapshot": None, "recent": []}


@dataclass
class Line:
    """A server's side as the protocol has it, a client, and what is on its way between them."""

    following: Following
    head: int = 5
    way: deque[dict[str, Any]] = field(default_factory=deque)
    got: list[int] = field(default_factory=list)
    watching: bool = False

    def do(self, outcome: Outcome) -> None:
        match outcome:
            case Joining():
                after = outcome.message.get("after")
                answer = joined(self.head, after)
                self.way.append(answer)
                if answer["recovered"]:
                    self.way.extend(frame(seq) for seq in range(answer["seq"] + 1, self.head + 1))
                self.watching = True
            case Filling():
                for seq in range(outcome.after + 1, min(outcome.until, self.head) + 1):
                    self.do(self.following.take(json.dumps(frame(seq))))
            case Got():
                self.got.append(outcome.frame.seq)

    def step(self, name: str) -> None:
        match name:
            case "event":
                self.head += 1
                if self.watching:
                    self.way.append(frame(self.head))
            case "beat" if self.watching:
                self.way.append({"type": "hb", "head": {ROOM: self.head}})
            case "break":
                self.way.clear()
                self.do(self.following.join())
            case "deliver" if self.way:
                self.do(self.following.take(json.dumps(self.way.popleft())))
            case "lose" if self.way:
                self.way.popleft()
            case "double" if self.way:
                self.way.appendleft(self.way[0])

    def settle(self) -> None:
        """Lets everything arrive; heartbeats show what was lost, and again if that was lost too."""
        for _beat in range(6):
            self.step("beat")
            while self.way:
                self.step("deliver")


@given(STEPS, st.one_of(st.none(), st.integers(0, 5)))
def test_every_event_is_got_once_and_in_order_whatever_the_line_does(steps: list[str], after: int | None) -> None:
    line = Line(Following(ROOM, after))
    line.do(line.following.join())

    for name in steps:
        line.step(name)
    line.settle()

    first = line.got[0] if line.got else line.head + 1
    assert line.got == list(range(first, line.head + 1))
    assert line.following.seq == line.head
    if after is not None:
        assert first == after + 1


@given(STEPS)
def test_a_second_feed_goes_on_where_the_first_ended(steps: list[str]) -> None:
    line = Line(Following(ROOM, 0))
    line.do(line.following.join())
    for name in steps:
        line.step(name)

    again = Line(Following(ROOM, line.following.seq, line.following.log_id), head=line.head)
    again.do(again.following.join())
    again.settle()

    assert [*line.got, *again.got] == list(range(1, line.head + 1))


def test_a_quiet_connection_is_steady_once_it_has_joined() -> None:
    """Who counts attempts in vain begins anew then."""
    following = Following(ROOM, 7, LOG)
    beat = json.dumps({"type": "hb", "head": {ROOM: 7}})
    following.join()
    following.take(json.dumps(joined(7, 7)))

    assert following.take(beat) == Steady()


def test_it_says_where_it_is() -> None:
    following = Following(ROOM, 7, LOG)

    assert following.join() == Joining({"type": "join_room", "roomId": ROOM, "after": 7, "logId": LOG})
    assert Following(ROOM).join() == Joining({"type": "join_room", "roomId": ROOM})


def test_a_lost_tail_shows_in_the_second_heartbeat() -> None:
    following = Following(ROOM, 5, LOG)
    following.join()
    following.take(json.dumps(joined(5, 5)))
    beat = json.dumps({"type": "hb", "head": {ROOM: 6}})

    assert following.take(beat) is None, "event 6 may be right behind it"
    assert isinstance(following.take(beat), Joining)


def test_another_log_is_never_taken_for_the_same() -> None:
    following = Following(ROOM, 5, LOG)

    with pytest.raises(LogChanged, match="another log"):
        following.take(json.dumps(joined(9, None, log_id="b" * 12)))
    with pytest.raises(LogChanged):
        following.take(json.dumps(frame(6, "b" * 12)))


def test_a_log_that_was_longer_is_another_one() -> None:
    following = Following(ROOM, 5, LOG)
    following.join()

    with pytest.raises(LogChanged, match="ends at event 4, and event 5 was there"):
        following.take(json.dumps(joined(4, 5)))


def test_an_answer_that_events_have_overtaken_is_no_other_log() -> None:
    following = Following(ROOM, 5, LOG)
    following.join()
    following.take(json.dumps(joined(5, 5)))
    for seq in (6, 7):
        following.take(json.dumps(frame(seq)))

    assert following.take(json.dumps(joined(5, 5))) is None
    assert following.seq == 7


@pytest.mark.parametrize(
    ("code", "kind"), [("not_found", FeedRefused), ("unavailable", NotNow), ("rate_limited", NotNow)]
)
def test_a_room_that_is_refused_is_given_up_or_tried_again(code: str, kind: type[Exception]) -> None:
    error = {"type": "error", "message": "no", "code": code, "roomId": ROOM}

    with pytest.raises(kind, match="no"):
        Following(ROOM).take(json.dumps(error))


def test_what_a_newer_api_says_is_passed_over_and_what_is_wrong_is_not() -> None:
    following = Following(ROOM, 5, LOG)

    assert following.take('{"type":"weather","sun":true}') is None
    with pytest.raises(AnswerUnreadable, match="seq"):
        following.take(json.dumps({**frame(6), "seq": "six"}))


def test_other_rooms_are_none_of_its_business() -> None:
    assert Following(ROOM, 5, LOG).take(json.dumps({**frame(6), "roomId": "room_b"})) is None
