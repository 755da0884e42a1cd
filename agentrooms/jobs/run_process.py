"""`python -m agentrooms.jobs.run_process OUT RUNS`: makes the archive of one run or fork in the folder OUT.

It reads its plan as a line of JSON from stdin, tells on stdout, line by line, how far it is and at last what came of it,
and ends when its stdin does: whoever started it is gone.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.actors.messages import Committed
from agentrooms.domain.agent import AgentLeft, AgentSpawned
from agentrooms.domain.deal import DealCompleted
from agentrooms.errors import AgentroomsError
from agentrooms.services.failpoints import hit
from agentrooms.sim import archive, forks
from agentrooms.sim.archive import MANIFEST, Manifest
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings

ORPHANED = 3  # exit code when whoever started it is gone


class Fork(msgspec.Struct, frozen=True):
    """A run that equals the run `of` up to the end of event `at`'s round; `changes` as of `agentrooms fork --set`."""

    of: str
    at: int
    changes: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be made: a run of its own by `settings`, or a `fork`."""

    settings: RunSettings | None = None
    fork: Fork | None = None


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: progress; or at last the result, or why there is none and never will be."""

    progress: dict[str, int] = {}
    result: dict[str, Any] = {}
    error: str = ""
    hint: str = ""


class Tally:
    """Counts what a run has come to, and tells it."""

    def __init__(self) -> None:
        self._counts = {"round": 0, "agents": 0, "deals": 0, "events": 0}

    def take(self, committed: Committed) -> None:
        """Counts one round's events."""
        counts = self._counts
        counts["round"] = committed.round
        counts["events"] += len(committed.events)
        for event in committed.events:
            counts["agents"] += isinstance(event, AgentSpawned) - isinstance(event, AgentLeft)
            counts["deals"] += isinstance(event, DealCompleted)
        tell(Told(progress=dict(counts)))


def make(plan: Plan, out: Path, runs: Path, tally: Tally) -> Manifest:
    """Writes the archive, unless it stands; returns its manifest. Raises what a run or a fork does."""
    if (out / MANIFEST).is_file():
        return archive.read_manifest(out)
    if plan.fork is not None:
        fork = plan.fork
        return forks.fork(runs / fork.of, out, at=fork.at, changes=list(fork.changes), progress=tally.take)
    assert plan.settings is not None
    engine = Engine(plan.settings)
    engine.run(tally.take)
    hit("run.before_archive")
    return archive.write(out, engine)


def tell(told: Told) -> None:
    """Writes a line."""
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Does what stands at the top."""
    out, runs = map(Path, sys.argv[1:])
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    threading.Thread(target=_watch, daemon=True).start()
    try:
        manifest = make(plan, out, runs, Tally())
    except AgentroomsError as error:
        tell(Told(error=str(error), hint=error.hint))
        return
    tell(
        Told(
            result={
                "head": manifest.head,
                "events": manifest.events,
                "seed": manifest.settings.seed,
                "sharedEvents": manifest.parent.events if manifest.parent is not None else 0,
            }
        )
    )


def _watch() -> None:
    """Ends the process when its stdin ends. Reads the descriptor itself: a lock of stdin's would hold up the end."""
    while os.read(0, 1):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
