"""A slice of `agentrooms chaos --mode sockets`: whatever breaks, every client ends with exactly the room's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrooms.chaos.crowd import KINDS
from agentrooms.chaos.ground import ground
from agentrooms.chaos.socket_plan import FAULTS, SocketFault, SocketPlan
from agentrooms.chaos.watching import watch_seed
from tests.measuring import children_unmeasured

STRUCK = ("frames.lost", "redis.kill", "api.kill", "connections.cut", "redis.unsubscribed", "room.kill", "redis.echo")
ALL = 2  # chooses the greatest share
SLICE = tuple(SocketFault(what, after_events=10, lasts_ms=1_000, which=ALL) for what in STRUCK)


@pytest.mark.xdist_group("ray")
def test_every_client_ends_with_exactly_the_rooms_log(tmp_path: Path) -> None:
    """One client of each kind, two API processes, one Redis, one Postgres, one Ray cluster."""
    assert set(STRUCK) <= set(FAULTS)
    assert {fault.share for fault in SLICE} == {1.0}
    plan = SocketPlan(seed=1, buyers=3, sellers=3, faults=SLICE)
    with children_unmeasured(), ground(tmp_path / "ground") as services:
        watched = watch_seed(plan, services, tmp_path / "data", clients=len(KINDS))
    assert watched.wrong == ()
    assert watched.clients == len(KINDS)
    assert watched.struck == dict.fromkeys(STRUCK, 1)
    assert watched.frames > watched.events  # several clients have each of them
    assert watched.frames_lost > 0
    assert watched.said > 0
