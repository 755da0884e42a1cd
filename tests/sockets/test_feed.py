"""A watched room: what is sent once for all, and what is not sent any more."""

from __future__ import annotations

import asyncio
import json

from agentrooms.actors.progress_board import Shown
from agentrooms.api.sockets.feed import Feed
from agentrooms.api.sockets.fold import RoomFold
from agentrooms.api.sockets.outbox import Message, Outbox
from agentrooms.domain.deal import DealCompleted, DealVerifying
from agentrooms.domain.progress import Stage
from agentrooms.projections.example import ROOM, example_log

LOG = example_log()[0]
VERIFYING = next(n for n, one in enumerate(LOG) if isinstance(one.event, DealVerifying)) + 1
COMPLETED = next(n for n, one in enumerate(LOG) if isinstance(one.event, DealCompleted)) + 1


def _feed(events: int) -> Feed:
    fold = RoomFold(ROOM)
    fold.take(LOG[:events], events)
    return Feed(fold, LOG[:events])


def _play(feed: Feed, start: int, end: int) -> None:
    feed.fold.take(LOG[start:end], end)
    feed.publish(LOG[start:end])


def _taken(box: Outbox) -> list[Message]:
    return asyncio.run(box.take())


def test_how_far_a_deal_is_does_not_come_behind_its_end() -> None:
    feed, box = _feed(VERIFYING), Outbox()
    feed.attach(box, None, None)
    deal = next(iter(feed.fold.room.live_deals())).terms.deal
    assert [json.loads(one.text)["dealId"] for one in _taken(box) if one.type == "deal_verifying"] == [deal]
    feed.hear(Shown(deal, Stage.CONFIRMATION, 90))
    _play(feed, VERIFYING, COMPLETED)
    waiting = [json.loads(one.text) for one in _taken(box)]
    assert "deal_completed" in [one["type"] for one in waiting]
    assert not [one for one in waiting if one.get("progress") and one["dealId"] == deal]


def test_a_room_that_is_left_is_silent() -> None:
    feed, box = _feed(VERIFYING), Outbox()
    feed.attach(box, None, None)
    _taken(box)
    feed.hear(Shown(next(iter(feed.fold.room.live_deals())).terms.deal, Stage.CONFIRMATION, 90))
    feed.detach(box, 0.0)
    box.offer([Message("left", "{}")])
    assert [one.type for one in _taken(box)] == ["left"]


def test_who_joins_anew_between_two_events_gets_the_same_message() -> None:
    feed, boxes = _feed(VERIFYING), [Outbox() for _ in range(3)]
    feed.attach(boxes[0], None, None)
    feed.attach(boxes[1], None, None)
    _play(feed, VERIFYING, COMPLETED)
    feed.attach(boxes[2], None, None)
    first, second, third = (_taken(box)[0] for box in boxes)
    assert first is second
    assert json.loads(third.text)["snapshot"]["seq"] == COMPLETED
