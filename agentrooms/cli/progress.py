"""Progress of a run on standard error: a moving line on a terminal, now and then a plain one elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentrooms.cli.console import count, err, talk
from agentrooms.domain.agent import AgentLeft, AgentSpawned
from agentrooms.domain.deal import DealCompleted

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentrooms.actors.messages import Committed

QUIET_S = 2.0  # elsewhere than on a terminal nothing is said before this, nor more often


class Tally:
    """Counts what a run has come to."""

    def __init__(self) -> None:
        self.round = self.present = self.deals = 0

    def take(self, committed: Committed) -> None:
        """Counts one round's events."""
        self.round = committed.round
        for event in committed.events:
            self.present += isinstance(event, AgentSpawned) - isinstance(event, AgentLeft)
            self.deals += isinstance(event, DealCompleted)

    def __str__(self) -> str:
        return f"round {self.round}, {count(self.present, 'agent')} present, {count(self.deals, 'deal')} done"


@contextmanager
def run_progress(*, quiet: bool) -> Iterator[Callable[[Committed], None] | None]:
    """Gives a callback that shows how a run goes, None when nothing shall be shown."""
    if quiet:
        yield None
        return
    tally = Tally()
    if not err().is_terminal:
        yield _plainly(tally)
        return
    with err().status("starting") as status:

        def show(committed: Committed) -> None:
            tally.take(committed)
            status.update(str(tally))

        yield show


@contextmanager
def step_progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Gives a callback that shows which step of a longer work is under way."""
    if quiet or not err().is_terminal:
        yield lambda _step: None
        return
    with err().status("starting") as status:
        yield status.update


def _plainly(tally: Tally) -> Callable[[Committed], None]:
    said_at = time.monotonic()

    def show(committed: Committed) -> None:
        nonlocal said_at
        tally.take(committed)
        if time.monotonic() - said_at >= QUIET_S:
            said_at = time.monotonic()
            talk(str(tally))

    return show
