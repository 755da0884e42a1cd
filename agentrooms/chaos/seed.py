"""What came of one seed, and what both kinds of seeds share: waiting as long as anything still moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import msgspec
import ray

from agentrooms.actors.remote import NAMESPACE, named
from agentrooms.chaos.ground import Ground
from agentrooms.chaos.plan import Plan
from agentrooms.chaos.strikes import Strikes, Target

STALL_S = 180.0  # nothing moved for so long: it never will
HEALTH_S = 5.0
POLL_S = 0.02


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One seed: what struck and what was missed, how often actors were made anew, what is wrong (nothing, if all is well)."""

    plan: Plan
    struck: dict[str, int]
    missed: dict[str, int]
    restarts: int
    resumed: int  # times the whole was started again by hand
    events: int
    seconds: float
    wrong: tuple[str, ...]


class Stalled(Exception):
    """Nothing moves any more."""


def await_(ground: Ground, what: str, holds: Callable[[], bool], moves: Callable[[], object]) -> None:
    """Waits until it holds, and tends the ground. Raises Stalled when `moves` has returned the same for STALL_S."""
    seen, since = moves(), time.monotonic()
    while not holds():
        ground.tend()
        now = moves()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > STALL_S:
            raise Stalled(f"nothing has moved for {STALL_S:.0f} s while waiting until {what}: {now}")
        time.sleep(POLL_S)


@contextmanager
def under_fire(plan: Plan, target: Target) -> Iterator[Strikes]:
    """Strikes beside the block; when it ends, what was struck has been mended."""
    strikes = Strikes(plan, target)
    thread = Thread(target=strikes.run, name="strikes", daemon=True)
    thread.start()
    try:
        yield strikes
    finally:
        strikes.over.set()
        strikes.end.set()
        thread.join()
        target.ground.tend()


def describe(scope: str) -> str:
    """Returns what the actors of a scope say of themselves, for who looks into a failure."""
    said = []
    for name in named(scope):
        try:
            health: Any = ray.get(ray.get_actor(name, namespace=NAMESPACE).health.remote(), timeout=HEALTH_S)
        except (ValueError, ray.exceptions.RayError) as error:
            health = type(error).__name__
        said.append(f"{name.partition('/')[2]}: {health}")
    return "; ".join(said)
