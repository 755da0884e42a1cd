"""More at once than usual, and less than usual: a backlog for a client that polls, a look at the log that finds nothing."""

from __future__ import annotations

import queue
from contextlib import closing
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]

from tests.sockets.stage import WAIT_S, Client, Process, Room, until

BACKLOG = 100  # more than the library's Python client takes in one answer to a poll


def test_a_client_that_polls_gets_a_backlog_in_answers_that_it_takes(process: Process, room: Room) -> None:
    room.round(BACKLOG)
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    io = socketio.Client(reconnection=False)
    io.on("*", lambda _event, said: heard.put(said) if "seq" in said and said["type"] != "joined" else None)
    io.connect(f"http://127.0.0.1:{process.port}", transports=["polling"])
    try:
        assert io.call("join_room", {"roomId": room.id, "after": 0})["recovered"]
        came = [heard.get(timeout=WAIT_S) for _ in range(room.head)]
    finally:
        io.disconnect()
    assert sorted(came, key=lambda frame: frame["seq"]) == room.frames()  # the library runs a thread a message


def test_a_look_at_the_log_that_finds_only_events_of_others_is_no_failure(
    process: Process, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    other, hub = Room(room._store, process.redis_url), process.sockets.hub
    with closing(Client(process)) as client:
        client.join(room)
        other.round()
        looks = hub.looks
        until(lambda: hub.looks > looks + 2)
        assert [record for record in caplog.records if record.name.startswith("agentrooms")] == []
        room.round(publish=False)
        client.until(room.head)
