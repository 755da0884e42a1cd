"""Makes the golden archives anew: `.venv/bin/python -m tests.golden.make` from the project's root.

Do so only when the runs of these seeds are meant to have changed; older archives stay, under their own names, as
proof that the logs of former versions are still read and verified.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from agentrooms.events.record import decode_line
from agentrooms.sim import archive
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings, preset

HERE = Path(__file__).parent
SMALL = "v1-small"
FAULTS = "v1-faults"
SMALL_SEED = 7
UNDERFUNDED_PERMILLE = 300
SEEDS_MAX = 500
WANTED = {"deal.completed", "deal.failed"}


def run(settings: RunSettings) -> Engine:
    """Returns the finished run."""
    engine = Engine(settings)
    engine.run()
    return engine


def faults() -> Engine:
    """Returns the first run of an underfunded market in which a deal fails and another completes."""
    for seed in range(1, SEEDS_MAX):
        engine = run(
            msgspec.structs.replace(preset("balanced_market", seed), underfunded_permille=UNDERFUNDED_PERMILLE)
        )
        if {decode_line(line).type for line in archive.lines_of(engine)} >= WANTED:
            return engine
    raise AssertionError(f"none of {SEEDS_MAX} seeds has a failed and a completed deal")


def main() -> None:
    """Writes both archives in place of those that are there."""
    for name, engine in {SMALL: run(preset("small_test", SMALL_SEED)), FAULTS: faults()}.items():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        manifest = archive.write(folder, engine)
        print(f"{folder.name}: seed {manifest.settings.seed}, {manifest.events} events, head {manifest.head}")


if __name__ == "__main__":
    main()
