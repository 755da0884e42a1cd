"""Makes golden archives: `.venv/bin/python -m tests.golden.make` from the project's root.

They are named by the version and the format that made them. None is overwritten: those of former versions stay as
proof that their logs are still read and verified. While a version is not released yet, `--replace NAME` makes one of
its archives anew, when the runs of these seeds are meant to have changed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from agentrooms.events.record import decode_line
from agentrooms.sim import archive
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings, preset

HERE = Path(__file__).parent
PREFIX = f"{version('agentrooms')}-format{archive.FORMAT}"
SMALL = f"{PREFIX}-small"
FAULTS = f"{PREFIX}-faults"
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


def small() -> Engine:
    """Returns the run of the tutorial."""
    return run(preset("small_test", SMALL_SEED))


MAKERS: dict[str, Callable[[], Engine]] = {SMALL: small, FAULTS: faults}


def main(arguments: Sequence[str] | None = None, here: Path = HERE) -> int:
    """Writes what is not there yet, and what is to be replaced."""
    parser = argparse.ArgumentParser(description="Makes the golden archives of this version.")
    parser.add_argument("--replace", metavar="NAME", action="append", default=[], choices=list(MAKERS))
    replace = parser.parse_args(arguments).replace
    taken = [name for name in MAKERS if (here / name).exists() and name not in replace]
    if taken and not replace:
        print(f"{', '.join(taken)}: there already; --replace NAME makes one anew", file=sys.stderr)
        return 1
    for name in (name for name in MAKERS if name not in taken):
        engine = MAKERS[name]()
        shutil.rmtree(here / name, ignore_errors=True)
        manifest = archive.write(here / name, engine)
        print(f"{name}: seed {manifest.settings.seed}, {manifest.events} events, head {manifest.head}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
