"""Measures swarms on Ray: from a started Ray to the first offer, what the processes weigh, and what a node more is worth."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

from agentrooms.actors.plans import room_address
from agentrooms.actors.remote import NAMESPACE, Service, find, named
from agentrooms.actors.service_cells import LogSpec
from agentrooms.bench.rows import Progress, Row, Start, against, row
from agentrooms.events.store import QueryItem
from agentrooms.services.ray import HEAD, HEAD_UNITS, prepare
from agentrooms.sim.ray_run import RayRun
from agentrooms.sim.settings import RunSettings, custom

PACKED, UNPACKED = (20, 100, 500), (20,)
AIMS = {500: (10, 3 * 1024**3 // 2)}  # seconds to the first offer, bytes
FIRST_OFFER_TIMEOUT_S = 300.0
POLL_S = 0.02
CLUSTER_AGENTS = 200
NODES = (1, 2)
ROUNDS = (30, 130)  # agents have joined by the first; the second ends the measurement


def run_swarms(*, quick: bool, say: Progress) -> list[Start]:
    """Measures how swarms start. Ray must have been started on this machine."""
    starts = []
    for agents, per_actor in [*((n, None) for n in PACKED[: 1 if quick else 3]), *((n, 1) for n in UNPACKED)]:
        packed = "packed" if per_actor is None else "one a process"
        say(f"{agents} agents, {packed}")
        starts.append(_started(f"{agents} agents, {packed}", agents, per_actor))
    return starts


def _started(name: str, agents: int, per_actor: int | None) -> Start:
    run = _run(custom(1, agents // 2, agents - agents // 2), per_actor)
    try:
        begun = time.monotonic()
        run.start()
        _wait_for(lambda: _has_offered(run), FIRST_OFFER_TIMEOUT_S)
        took = time.monotonic() - begun
        run.start_others()
        pids = _pids(run.scope)
        pss = sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
    finally:
        run.close()
    aim_s, aim_bytes = AIMS.get(agents, (None, None)) if per_actor is None else (None, None)
    return Start(name, agents, len(pids), int(took * 1_000_000), pss, aim_s and aim_s * 1_000_000, aim_bytes)


def run_nodes(*, quick: bool, say: Progress) -> list[Row]:
    """Measures a swarm on clusters of one node and of two, each with one CPU; each cluster is started here and ended."""
    agents = CLUSTER_AGENTS // (10 if quick else 1)
    rows: list[Row] = []
    for nodes in NODES:
        say(f"{agents} agents on {nodes} node{'s' if nodes > 1 else ''}")
        cluster = start_cluster(nodes)
        try:
            rows.append(_rounds_on(agents, nodes))
        finally:
            stop_cluster(cluster)
    return [rows[0], *(against(more, rows[0]) for more in rows[1:])]


def start_cluster(nodes: int, cpus: int = 1) -> Any:  # noqa: ANN401 - Ray's test cluster has no types
    """Starts a head that carries the services and so many nodes that carry the rest, and connects to it."""
    prepare(own=True)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "resources": {HEAD: HEAD_UNITS}, "include_dashboard": False},
    )
    for _node in range(nodes):
        cluster.add_node(num_cpus=cpus)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    return cluster


def stop_cluster(cluster: Any) -> None:  # noqa: ANN401 - the same
    """Ends a cluster and all its processes."""
    ray.shutdown()
    cluster.shutdown()


def _rounds_on(agents: int, nodes: int) -> Row:
    run = _run(custom(1, agents // 2, agents - agents // 2), -(-agents // nodes))
    room = Service(run.scope, room_address(run.room_id))
    first, last = ROUNDS
    try:
        run.start()
        run.start_others()
        _wait_for(lambda: room.call("progress")["round"] >= first, FIRST_OFFER_TIMEOUT_S)
        begun, at = time.monotonic(), room.call("progress")["round"]
        _wait_for(lambda: room.call("progress")["round"] >= last, FIRST_OFFER_TIMEOUT_S)
        took, rounds = time.monotonic() - begun, room.call("progress")["round"] - at
    finally:
        run.close()
    return row(f"{agents} agents on {nodes} node{'s' if nodes > 1 else ''} of one CPU", "rounds", rounds, took, (1,))


def _run(settings: RunSettings, per_actor: int | None) -> RayRun:
    return RayRun(settings, LogSpec(None, ""), agents_per_actor=per_actor)


def _has_offered(run: RayRun) -> bool:
    return bool(run.store.read((QueryItem(types=("act.posted",)),), limit=1))


def _pids(scope: str) -> list[int]:
    """Returns the processes of a scope, a few of which may just be starting or ending."""
    pids = []
    for name in named(scope):
        with suppress(ValueError, ray.exceptions.RayError):
            pids.append(ray.get(find(scope, name.removeprefix(f"{scope}/")).health.remote(), timeout=30)["pid"])
    return pids


def _wait_for(holds: Callable[[], bool], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"nothing happened in {timeout_s:.0f} s")
        time.sleep(POLL_S)
