"""A long campaign of schedules: `python -m tests.byzantine.campaign --examples 3000 --seed 1`. Exit code 1 on a breach."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from agentrooms.domain.deal import VerifierAccused
from tests.byzantine.invariants import breaches
from tests.byzantine.schedules import schedules
from tests.byzantine.world import Schedule, World

SAY_EVERY = 500


def main() -> int:
    """Plays the schedules; a breach is shrunk by Hypothesis and shown with what replays it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    begun = time.monotonic()

    @seed(asked.seed)
    @settings(
        max_examples=asked.examples,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(schedules())
    def play(schedule: Schedule) -> None:
        world = World(schedule).play()
        _count(seen, world)
        if seen["schedules"] % SAY_EVERY == 0:
            print(f"{seen['schedules']} schedules, {time.monotonic() - begun:.0f} s", flush=True)
        found = breaches(world)
        assert not found, f"{', '.join(found)}\n{schedule}"

    try:
        play()
    except AssertionError as error:
        print(f"BREACH: {error}")
        return 1
    finally:
        for what, number in sorted(seen.items()):
            print(f"{number:>8,}  {what}")
    print(f"no breach in {time.monotonic() - begun:.0f} s")
    return 0


def _count(seen: Counter[str], world: World) -> None:
    """Notes what a schedule came to, so that it shows that nothing holds only because nothing happened."""
    schedule, deal = world.schedule, world.deal
    good = "bad" if schedule.scene.against else "good"
    seen["schedules"] += 1
    seen[f"{good} deal {deal.fail_reason or deal.state}{'' if schedule.stable else ', unstable'}"] += 1
    seen[f"{len(schedule.faults)} faulty"] += 1
    seen.update(f"fault {fault}" for fault in schedule.faults.values())
    seen.update(f"accused of {e.evidence.kind}" for e in world.events if isinstance(e, VerifierAccused))
    seen["second settlement"] += schedule.second_ms is not None
    seen["deaths"] += len(schedule.deaths)
    seen["votes"] += len(world.said)


if __name__ == "__main__":
    sys.exit(main())
