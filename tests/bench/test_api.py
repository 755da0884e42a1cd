"""The API's bench in small: it runs as it is, its processes end, and no client misses anything."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

from agentrooms.bench.api_bare import Template
from agentrooms.bench.api_sockets import AIM_P99_MICROS, AIM_RATIO_PERMILLE, RATE, run_sockets
from tests.measuring import children_unmeasured

CLIENTS, ROOMS, SECONDS = 20, 2, 1.0


def test_every_client_gets_every_event_from_the_api_and_from_the_baseline(tmp_path: Path) -> None:
    """`run_sockets` itself fails when a client misses an event or gets one twice."""
    steps: list[str] = []
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    with children_unmeasured():
        rows = run_sockets(
            clients=CLIENTS, rooms=ROOMS, seconds=SECONDS, search=False, say=steps.append, folder=tmp_path
        )
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before
    assert len(steps) == len(set(steps)) > len(rows)
    api, bare = rows
    assert (api.name, bare.name) == ("the API", "bare uvicorn")
    for row in rows:
        assert (row.clients, row.rooms, row.events_a_second) == (CLIENTS, ROOMS, RATE)
        assert (row.events, row.closed, row.not_published) == (int(ROOMS * RATE * SECONDS), 0, 0)
        assert row.busy_permille.keys() == {"server", "clients", "writer"}
        assert row.p50_micros is not None
        assert row.p99_micros is not None
        assert 0 < row.p50_micros <= row.p99_micros
    assert bare.deliveries == bare.events * CLIENTS // ROOMS
    assert api.deliveries >= bare.deliveries  # a room's figures may come with its events
    assert (api.aim_p99_micros, api.aim_ratio_permille) == (AIM_P99_MICROS, AIM_RATIO_PERMILLE)
    assert api.ratio_permille is not None
    assert bare.ratio_permille is None
    assert msgspec.json.decode(msgspec.json.encode(api), type=type(api)) == api


def test_the_baseline_says_the_same_string_with_another_number_and_time() -> None:
    frame = b'{"type":"agent_message","seq":21,"v":1,"message":"0000000000000000012 words","act":"comment"}'
    made = Template(frame).frame(305, 77)
    assert made == frame.decode().replace("21", "305").replace("12 words", "77 words")
