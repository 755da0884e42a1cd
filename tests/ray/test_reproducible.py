"""A run on Ray has the bytes of the run in one process, whatever hosts it and whatever dies on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import ray

from agentrooms.actors.messages import Committed
from agentrooms.actors.plans import room_address, verifier_address
from agentrooms.actors.service_cells import LogSpec
from agentrooms.domain.deal import DealLocked
from agentrooms.services.ray import HEAD
from agentrooms.sim.engine import Engine
from agentrooms.sim.ray_run import RayRun
from agentrooms.sim.run_log import prepare
from agentrooms.sim.runner import finished
from agentrooms.sim.settings import custom, preset
from tests.domain import runs
from tests.ray.cluster import addresses, health, kill_actor, kill_process

pytestmark = pytest.mark.xdist_group("ray")

SETTINGS = preset("small_test", 7)


def log_of(run: RayRun | Engine) -> tuple[bytes, ...]:
    return tuple(p.event.data for p in run.store.read())


@pytest.mark.usefixtures("cluster")
def test_each_agent_room_and_verifier_has_a_process_and_no_byte_changes() -> None:
    """One agent an actor; every process is looked at while the run goes on."""
    run = RayRun(SETTINGS, LogSpec(None, ""), agents_per_actor=1)
    agents = {f"agent:{recruit.spawned.agent}" for recruit in run.genesis.recruits}
    others = {room_address(run.room_id), *(verifier_address(plan.name) for plan in run.genesis.verifier_plans)}
    pids: dict[str, int] = {}

    def look(_committed: Committed) -> None:
        if not pids and agents <= set(addresses(run.scope)):
            pids.update({address: health(run.scope, address)["pid"] for address in agents | others})

    try:
        run.run(look)
        assert log_of(run) == runs.lines(SETTINGS)
    finally:
        run.close()
    assert pids.keys() == agents | others
    assert len(set(pids.values())) == len(pids)
    assert addresses(run.scope) == []


KILLS: list[tuple[Callable[[str, str], bool], str]] = [
    (kill_process, "log"),
    (kill_process, "room:"),
    (kill_actor, "host:"),
    (kill_process, "settlement"),
    (kill_actor, "chain"),
    (kill_process, "verifier:verifier_3"),
    (kill_actor, "room:"),
    (kill_process, "chain"),
    (kill_actor, "verifier:verifier_4"),
    (kill_process, "host:"),
    (kill_actor, "log"),
    (kill_actor, "settlement"),
]


@pytest.mark.usefixtures("cluster")
def test_every_kind_of_actor_dies_and_no_byte_changes(postgres_dsn: str) -> None:
    """By signal and by Ray, one after the other, the log's writer among them, the log in Postgres."""
    schema, events = prepare(postgres_dsn, SETTINGS)
    assert events == 0
    run = RayRun(SETTINGS, LogSpec(postgres_dsn, schema), scope=schema, agents_per_actor=2)
    left = list(KILLS)

    def strike(_committed: Committed) -> None:
        if left and left[0][0](run.scope, left[0][1]):
            left.pop(0)

    try:
        run.run(strike)
        assert log_of(run) == runs.lines(SETTINGS)
    finally:
        run.close()
    assert len(left) <= len(KILLS) // 2, f"the run ended before these died: {left}"


def test_a_log_in_postgres_has_the_same_bytes_and_a_finished_run_begins_anew(postgres_dsn: str) -> None:
    """In one process; the schema is named by the settings."""
    for _time in range(2):
        with finished(SETTINGS, dsn=postgres_dsn) as run:
            assert log_of(run) == runs.lines(SETTINGS)
            assert run.vault.export() == runs_vault()


def runs_vault() -> bytes:
    """The vault of the same run in memory."""
    engine = Engine(SETTINGS)
    engine.run()
    return engine.vault.export()


# --- A cluster ---------------------------------------------------------------------------------------------

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
