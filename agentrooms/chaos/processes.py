"""The processes of a scope's actors, as Ray's own table has them: it answers also for those that are stopped."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NamedTuple

import ray
from ray._private.state import actors  # its public twin needs the dashboard

from agentrooms.actors.remote import NAMESPACE
from agentrooms.services import failpoints

ANSWER_S = 20.0
PREFIXES = {
    "chain": ("chain",),
    "desk": ("desk",),
    "host": ("agent:", "host:"),
    "log": ("log",),
    "projector": ("projector",),
    "room": ("room:",),
    "settlement": ("settlement",),
    "verifier": ("verifier:",),
}


class Process(NamedTuple):
    """A living actor and the number of its process."""

    name: str
    pid: int


def living(scope: str, victim: str) -> list[Process]:
    """Returns the processes of a kind of actor, by name."""
    heads = tuple(f"{scope}/{prefix}" for prefix in PREFIXES[victim])
    table = _table(state="ALIVE")
    return sorted(Process(row["Name"], row["Pid"]) for row in table if row["Name"].startswith(heads))


def process_of(scope: str, address: str) -> Process | None:
    """Returns the process of one actor, None while it has none."""
    found = (row for row in _table(state="ALIVE") if row["Name"] == f"{scope}/{address}")
    return next((Process(row["Name"], row["Pid"]) for row in found), None)


def is_up(scope: str, address: str) -> bool:
    """Tells whether an actor answers."""
    try:
        actor: Any = ray.get_actor(f"{scope}/{address}", namespace=NAMESPACE)
        ray.get(actor.health.remote(), timeout=ANSWER_S)
    except (ValueError, ray.exceptions.RayError):
        return False
    return True


def restarts(scope: str) -> int:
    """Returns how often Ray has made actors of a scope anew."""
    return sum(row["NumRestarts"] for row in _table() if row["Name"].startswith(f"{scope}/"))


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Returns whether there was a process to send it to."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def end_actor(name: str) -> bool:
    """Has Ray end an actor, which it then makes anew; returns whether there was one."""
    try:
        ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=False)
    except ValueError:
        return False
    return True


def arm(name: str, point: str, passage: int, action: str = failpoints.EXIT) -> bool:
    """Makes an actor's process act at a point's `passage`-th passage from now; returns whether it could be told."""
    try:
        actor: Any = ray.get_actor(name, namespace=NAMESPACE)
        armed: bool = ray.get(actor.__ray_call__.remote(_arm, point, passage, action), timeout=ANSWER_S)
    except (ValueError, ray.exceptions.RayError):
        return False
    return armed


def shift_clock(name: str, jump_s: int) -> bool:
    """Lets the wall's clock of an actor's process jump until its end; returns whether it could be told."""
    try:
        actor: Any = ray.get_actor(name, namespace=NAMESPACE)
        shifted: bool = ray.get(actor.__ray_call__.remote(_shift, jump_s), timeout=ANSWER_S)
    except (ValueError, ray.exceptions.RayError):
        return False
    return shifted


def _shift(_actor: Any, jump_s: int) -> bool:  # noqa: ANN401 - any actor
    before = time.time_ns
    time.time_ns = lambda: before() + jump_s * 1_000_000_000
    return True


def _arm(_actor: Any, point: str, passage: int, action: str) -> bool:  # noqa: ANN401 - any actor
    failpoints.arm(point, action, passage)
    return True


def _table(state: str | None = None) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = actors(actor_state_name=state)
    return list(found.values())
