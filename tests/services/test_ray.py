"""A Ray cluster of our own lives and ends with its process; one elsewhere is joined as it is."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

import agentrooms.services.ray as service
from agentrooms.services.ray import (
    HEAD,
    MIB,
    Cluster,
    NotEnoughMemory,
    RayFailed,
    _nodes,
    admit,
    memory_free,
    start_ray,
)
from tests.cli.commands import uncovered
from tests.measuring import children_unmeasured

DRIVER = """
import json, os, sys
import ray
import agentrooms.services.ray as service
from agentrooms.services.ray import start_ray

@ray.remote(resources={"head": 1}, num_cpus=0)
class Actor:
    def environment(self):
        return os.getpid(), os.environ["OMP_NUM_THREADS"]

cluster = start_ray(None, num_cpus=1)
actor = Actor.remote()
print(json.dumps([cluster.address, *ray.get(actor.environment.remote())]), flush=True)
try:
    sys.stdin.read()
except KeyboardInterrupt:
    print(json.dumps(ray.get(actor.environment.remote())), flush=True)
    cluster.stop()
"""

JOINER = """
import json, sys
import agentrooms.services.ray as service
from agentrooms.services.ray import start_ray
cluster = start_ray(sys.argv[1])
print(json.dumps([cluster.address, cluster.own]))
cluster.stop()
"""

LAGGARDS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}  # they end a minute after their head

# Both know the token, so that one can join the other's cluster.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def launch() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", DRIVER],
        env=uncovered(**TOKEN),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read(driver: subprocess.Popen[str]) -> list[Any]:
    assert driver.stdout is not None
    line: list[Any] = json.loads(driver.stdout.readline())
    return line


def family(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(driver.pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_ctrl_c_reaches_the_driver_alone_and_a_stop_leaves_no_process() -> None:
    with launch() as driver:
        address, pid, threads = read(driver)
        processes = family(driver)
        assert pid in [process.pid for process in processes]
        assert threads == "1"
        joiner = [sys.executable, "-W", "error", "-c", JOINER, address]
        joined = subprocess.run(joiner, env=uncovered(**TOKEN), check=True, capture_output=True, text=True)
        assert json.loads(joined.stdout) == [address, False]
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
        assert read(driver) == [pid, "1"]  # the same actor answers: leaving and Ctrl-C have not ended it
        assert driver.wait() == 0
        assert alive(processes) == []


def test_the_cluster_of_a_killed_driver_ends() -> None:
    with launch() as driver:
        read(driver)
        processes = [one for one in family(driver) if one.name() not in LAGGARDS]
        driver.kill()
    psutil.wait_procs(processes, timeout=60)
    assert len(processes) > 4
    assert alive(processes) == []


def test_an_address_where_nothing_listens_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets it meanwhile
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RayFailed, match=f"nothing answers at RAY_ADDRESS {address}"):
            start_ray(address)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with children_unmeasured():
        cluster = start_ray(None, num_cpus=1)
    yield cluster
    cluster.stop()


def test_a_connected_process_stays_so_and_admits_what_memory_carries(own: Cluster) -> None:
    again = start_ray(None)
    assert (again.address, again.session, again.own) == (own.address, own.session, False)
    assert [node["Resources"][HEAD] for node in _nodes()] == [1_000]
    admit(1, MIB)
    whole = memory_free() // MIB
    with pytest.raises(NotEnoughMemory, match=r"1000000 actors of \d+ MiB need \d+ MiB"):
        admit(1_000_000, whole * MIB // 1000)


def test_a_container_has_no_more_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CGROUP", tmp_path)
    for name, text in {"max": "1000", "current": "900", "stat": "anon 600\ninactive_file 250\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert service._memory_free_here() == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert service._memory_free_here() > 1_000_000


def test_a_cluster_without_a_head_is_refused(own: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "HEAD", "another")  # a resource that no node has
    with pytest.raises(RayFailed, match=r"no node .* has the resource 'another'") as caught:
        start_ray(None)
    assert "--resources" in caught.value.hint
    assert ray.is_initialized()  # who was connected before stays so
