"""Waiting until the tables hold what was appended to the log, so that one reads what one has written."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentrooms.errors import AgentroomsError
from agentrooms.projections.writing import Place

POLL_S = 0.01


class NotCaughtUp(AgentroomsError):
    """The read model has not reached a position in time."""


def wait_for(look: Callable[[], Place], position: int, timeout_s: float) -> None:
    """Returns once `look` finds the tables to hold an event. Raises NotCaughtUp."""
    deadline = time.monotonic() + timeout_s
    while (at := look()).position < position:
        if at.failure is not None or time.monotonic() > deadline:
            raise NotCaughtUp(
                f"the read model is at {at.position}, not yet at {position} after {timeout_s} s",
                hint=at.failure or "it catches up by itself: see `agentrooms status`",
            )
        time.sleep(POLL_S)
