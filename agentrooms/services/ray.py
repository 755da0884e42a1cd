"""A Ray cluster: the one at RAY_ADDRESS, or our own on this machine; and how many processes it can bear."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker

from agentrooms.errors import AgentroomsError
from agentrooms.services.processes import last_lines

NAMESPACE = "agentrooms"
HEAD = "head"  # the resource of nodes that reach what is bound to one host
HEAD_UNITS = 1_000  # actors that a node with it may carry
OBJECT_STORE_BYTES = 256 * 1024**2  # messages are small; Ray spills more to disk
PROBE_TIMEOUT_S = 5
STOP_TIMEOUT_S = 20
POLL_S = 0.02
MEMORY_SHARE = 0.8  # of what is free; Ray kills processes when 95 % of a node is in use
CGROUP = Path("/sys/fs/cgroup")
MIB = 1024**2

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # a process more is what we count in, not its threads
    "RAY_USAGE_STATS_ENABLED": "0",
}
AUTH_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class RayFailed(AgentroomsError):
    """The cluster cannot be started, reached or used."""


class NotEnoughMemory(AgentroomsError):
    """More processes are asked for than the cluster's memory carries; none has been started."""


@dataclass(frozen=True)
class Cluster:
    """The cluster this process is connected to."""

    address: str
    session: Path
    """Ray's folder with sockets and logs, on this machine."""
    own: bool
    """Whether we started it, so that it ends with us."""

    def stop(self) -> None:
        """Disconnects, and ends the cluster if it is our own: all its processes are gone then."""
        processes = _daemons(self.session) if self.own else []
        for daemon in tuple(processes):
            with contextlib.suppress(psutil.Error):
                processes += daemon.children(recursive=True)
        ray.shutdown()
        if not _ended(processes, STOP_TIMEOUT_S):
            for process in processes:
                with contextlib.suppress(psutil.Error):  # it knows whether the number is still this process's
                    process.kill()
            _ended(processes, STOP_TIMEOUT_S)


def start_ray(address: str | None, num_cpus: int | None = None, head_units: int = HEAD_UNITS) -> Cluster:
    """Connects to the cluster at `address`, else starts one of our own on this machine, which ends with this process.

    A process that is connected already stays so. A cluster of our own is started in the main thread. `num_cpus` (default: all) and `head_units` are for a cluster
    of our own.

    Raises:
        RayFailed: it does not answer, cannot be started, or no node of it has the resource `head`.
    """
    joined = ray.is_initialized()
    own = address is None and not joined
    prepare(own=own)
    options: dict[str, Any] = {"address": address}
    if own:
        # Linux ends the cluster together with the thread that started it, not only with the process.
        assert threading.current_thread() is threading.main_thread(), "start a cluster of our own in the main thread"
        options = {
            "address": "local",
            "num_cpus": num_cpus,
            "resources": {HEAD: head_units},
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    elif address is not None:
        _probe(address)
    try:
        with _keeping_sigterm():
            context: Any = ray.init(
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
                ignore_reinit_error=True,
                **options,
            )
        info = context.address_info
        nodes = _nodes()
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = "a Ray cluster of our own does not start" if own else f"the Ray cluster at {address} cannot be joined"
        hint = (
            "see the logs below /tmp/ray"
            if own
            else "check RAY_ADDRESS and that Ray and Python there are the same; "
            "if it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        )
        raise RayFailed(f"{where}: {last_lines(str(error))}", hint=hint) from error
    _quiet()
    cluster = Cluster(str(info["gcs_address"]), Path(info["session_dir"]), own)
    if not any(node["Alive"] and node["Resources"].get(HEAD, 0) >= 1 for node in nodes):
        if not joined:
            cluster.stop()
        raise RayFailed(
            f"no node of the Ray cluster at {cluster.address} has the resource {HEAD!r}",
            hint=f"start the node that reaches Postgres and Redis with --resources='{{\"{HEAD}\": {HEAD_UNITS}}}'",
        )
    return cluster


def prepare(*, own: bool) -> None:
    """Sets what Ray reads from the environment; `own` when this process is about to start a cluster."""
    for name, value in ENVIRONMENT.items():  # before the cluster starts: its processes inherit it
        os.environ.setdefault(name, value)
    # Without a token of ours Ray would write one to the home folder. It reads the token once a process.
    if own and not any(name in os.environ for name in AUTH_VARIABLES):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def admit(actors: int, bytes_each: int) -> None:
    """Passes when so many processes of this size (in bytes) fit into the memory that the cluster has free.

    Raises:
        NotEnoughMemory: they do not.
    """
    wanted, free = actors * bytes_each, memory_free()
    if wanted > free * MEMORY_SHARE:
        raise NotEnoughMemory(
            f"{actors} actors of {bytes_each // MIB} MiB need {wanted // MIB} MiB; of {free // MIB} MiB free memory "
            f"they may take {int(free * MEMORY_SHARE) // MIB}",
            hint="put more agents into an actor (AGENTS_PER_ACTOR=auto), start fewer, or add a node",
        )


def memory_free() -> int:
    """Bytes of memory that the cluster's machines have free: measured on this one, as Ray counts it on others."""
    others = [node for node in _nodes() if node["Alive"] and node["NodeManagerHostname"] != socket.gethostname()]
    return _memory_free_here() + sum(int(node["Resources"].get("memory", 0)) for node in others)


def _memory_free_here() -> int:
    """Bytes that this machine has free, or its container where that has less."""
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit: "max"
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        lines = (line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        cached = sum(int(value) for name, value in lines if name == "inactive_file")  # files that give way at once
        free = min(free, limit - used + cached)
    return free


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def _quiet() -> None:
    """Keeps what Ray says of dead processes off our standard output; it stands in Ray's logs.

    Ray has no setting for these messages. Where a later version says them otherwise, they are only seen again.
    """
    if hasattr(ray_worker, "print_to_stdstream"):
        ray_worker.print_to_stdstream = lambda *_message, **_options: None


@contextlib.contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Keeps a handler of SIGTERM that is there: of Ray's two, one ends a start in its middle, the other aborts."""
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    sets = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = sets
        signal.signal(signal.SIGTERM, before)  # over that of Ray's core


def _probe(address: str) -> None:
    """Finds out at once what Ray would find out after a minute: that nothing listens there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), PROBE_TIMEOUT_S).close()
    except OSError as error:
        raise RayFailed(
            f"nothing answers at RAY_ADDRESS {address}: {error.strerror or error}",
            hint="check it, or unset RAY_ADDRESS to use a cluster of our own",
        ) from error


def _daemons(session: Path) -> list[psutil.Process]:
    """Returns the processes that this one has started for the session."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(str(session) in part for part in child.cmdline()):
                found.append(child)
    return found


def _ended(processes: list[psutil.Process], timeout_s: float) -> bool:
    """Waits for the processes; says whether all have ended. Remains that nobody has collected count as ended."""
    deadline = time.monotonic() + timeout_s
    while any(_runs(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
