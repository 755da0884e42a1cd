"""Swarms spread over the nodes of a cluster; what uses the services of one host stays with them."""

from __future__ import annotations

from typing import Any

import pytest
import ray

from agentrooms.actors.messages import Committed
from agentrooms.actors.plans import room_address
from agentrooms.actors.service_cells import LogSpec
from agentrooms.domain.deal import DealLocked
from agentrooms.services.ray import HEAD
from agentrooms.sim.ray_run import RayRun
from agentrooms.sim.settings import custom
from tests.ray.cluster import addresses, health

AGENTS = 200
HOSTS = 4


class Seen(Exception):
    """What the test is about has been seen."""


@pytest.mark.usefixtures("cluster")
def test_200_agents_trade_and_spread() -> None:
    """Until the first deal is locked: hosts on all nodes but the head's, room not there, log and chain only there."""
    nodes_of: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    (head,) = (node["NodeID"] for node in nodes_of if node["Resources"].get(HEAD, 0) >= 1)
    run = RayRun(custom(1, AGENTS // 2, AGENTS // 2), LogSpec(None, ""), agents_per_actor=AGENTS // HOSTS)
    nodes: dict[str, str] = {}

    def look(committed: Committed) -> None:
        if any(isinstance(event, DealLocked) for event in committed.events):
            nodes.update({a: health(run.scope, a)["node"] for a in addresses(run.scope) if a.startswith("host:")})
            nodes.update({a: health(run.scope, a)["node"] for a in ("log", "chain", room_address(run.room_id))})
            raise Seen

    try:
        run.start()
        with pytest.raises(Seen):
            run.wait(look)
    finally:
        run.close()
    hosts = [node for address, node in nodes.items() if address.startswith("host:")]
    assert len(hosts) == HOSTS
    assert len(set(hosts)) > 1
    assert head not in {*hosts, nodes[room_address(run.room_id)]}
    assert {nodes["log"], nodes["chain"]} == {head}
