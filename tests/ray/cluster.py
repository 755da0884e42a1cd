"""Looks at and kills the processes of a scope's actors."""

from __future__ import annotations

import os
import signal
from typing import Any

import ray

from agentrooms.actors.remote import find, named


def health(scope: str, address: str) -> dict[str, Any]:
    """What an actor says of itself."""
    answer: dict[str, Any] = ray.get(find(scope, address).health.remote())
    return answer


def addresses(scope: str) -> list[str]:
    """The addresses of a scope's living actors."""
    return [name.removeprefix(f"{scope}/") for name in named(scope)]


def kill_process(scope: str, kind: str) -> bool:
    """Ends the process of the first actor whose address begins like this; False when there is none just now."""
    for address in addresses(scope):
        if address.startswith(kind):
            try:
                pid = health(scope, address)["pid"]
            except (ray.exceptions.RayError, ValueError):
                return False  # it is being made anew
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def kill_actor(scope: str, kind: str) -> bool:
    """Has Ray end an actor, which it then makes anew."""
    for address in addresses(scope):
        if address.startswith(kind):
            ray.kill(find(scope, address), no_restart=False)
            return True
    return False
