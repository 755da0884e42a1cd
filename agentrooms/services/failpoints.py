"""Named places in the program where a test, or `agentrooms chaos`, makes it fail.

`AGENTROOMS_FAILPOINT=name:action[:count]` arms one in a new process (several with commas): at its count-th
passage (default the first) it acts, once.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from typing import Final

from agentrooms.errors import AgentroomsError, InvalidInput

VARIABLE = "AGENTROOMS_FAILPOINT"
EXIT_STATUS = 86
EXIT: Final = "exit"  # the process ends at once, as by kill -9
ERROR: Final = "error"  # the place raises FailpointReached
STOP: Final = "stop"  # the process stops there until it is continued (SIGCONT), or killed


class FailpointReached(AgentroomsError):
    """A failpoint that was armed with `error`."""


@dataclass
class _Armed:
    action: str
    left: int


_armed: dict[str, _Armed] = {}
_lock = threading.Lock()


def hit(name: str) -> None:
    """Marks a place. Does nothing unless armed. Raises FailpointReached."""
    if _armed:
        _act(name)


def arm(name: str, action: str, count: int = 1) -> None:
    """Makes the place act at its count-th passage from now. Raises InvalidInput."""
    if action not in {EXIT, ERROR, STOP} or count < 1:
        raise InvalidInput(
            f"failpoint {name}:{action}:{count} is not usable",
            hint=f"the action is {EXIT}, {ERROR} or {STOP}, the count >= 1",
        )
    with _lock:
        _armed[name] = _Armed(action, count)


def arm_from(text: str) -> None:
    """Arms what a value of AGENTROOMS_FAILPOINT says. Raises InvalidInput."""
    for entry in filter(None, text.split(",")):
        name, action, count = (*entry.split(":"), "1")[:3] if entry.count(":") in {1, 2} else ("", "", "")
        if not count.isdecimal():
            raise InvalidInput(f"{VARIABLE} has an entry {entry!r}", hint="write name:action or name:action:count")
        arm(name, action, int(count))


def _act(name: str) -> None:
    with _lock:
        armed = _armed.get(name)
        if armed is None:
            return
        armed.left -= 1
        if armed.left > 0:
            return
        del _armed[name]
    if armed.action == EXIT:
        os._exit(EXIT_STATUS)
    if armed.action == ERROR:
        raise FailpointReached(f"failpoint {name} was reached")
    signal.pthread_kill(
        threading.get_ident(), signal.SIGSTOP
    )  # this thread goes no further; the process might a little


arm_from(os.environ.get(VARIABLE, ""))
