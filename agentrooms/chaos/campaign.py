"""Many seeds of chaos on one ground, one after the other."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from agentrooms.chaos import living, reproducible
from agentrooms.chaos.ground import Ground, ground
from agentrooms.chaos.plan import Mode, draw_plan
from agentrooms.chaos.seed import Outcome

SEEDS_MAX = 100_000


class Summary(msgspec.Struct, frozen=True):
    """What a campaign came to. `failed` are the outcomes of seeds with which something is wrong."""

    seeds: dict[str, int]
    struck: dict[str, int]
    missed: int
    restarts: int
    resumed: int
    events: int
    seconds: float
    failed: tuple[Outcome, ...]


def run_campaign(seeds: Iterable[int], mode: Mode | None, tell: Callable[[Outcome], None]) -> Summary:
    """Runs the seeds on services of its own, `mode` None in the mode of each; tells each outcome. For the main thread."""
    folder = Path(tempfile.mkdtemp(prefix="agentrooms-chaos-"))
    try:
        with ground(folder) as services:
            outcomes = []
            for outcome in run_seeds(services, seeds, mode):
                outcomes.append(outcome)
                tell(outcome)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return summarise(outcomes)


def run_seeds(services: Ground, seeds: Iterable[int], mode: Mode | None) -> Iterator[Outcome]:
    """Runs seeds on services that are there."""
    for seed in seeds:
        plan = draw_plan(seed, mode)
        yield (living if plan.mode == "live" else reproducible).run_seed(plan, services)


def summarise(outcomes: Iterable[Outcome]) -> Summary:
    """Returns the sums over all seeds."""
    done = list(outcomes)
    struck: Counter[str] = Counter()
    for outcome in done:
        struck.update(outcome.struck)
    return Summary(
        seeds=dict(Counter(outcome.plan.mode for outcome in done)),
        struck=dict(sorted(struck.items())),
        missed=sum(sum(outcome.missed.values()) for outcome in done),
        restarts=sum(outcome.restarts for outcome in done),
        resumed=sum(outcome.resumed for outcome in done),
        events=sum(outcome.events for outcome in done),
        seconds=sum(outcome.seconds for outcome in done),
        failed=tuple(outcome for outcome in done if outcome.wrong),
    )
