"""Long runs of random histories: `python -m tests.contracts.campaign --examples 3000 --engine anvil --seed 1`."""

from __future__ import annotations

import argparse
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from agentrooms.chain.devnet.anvil import Anvil
from agentrooms.chain.devnet.engine import Engine
from agentrooms.chain.devnet.pyevm import PyEvm
from tests.contracts.histories import History, Step, steps
from tests.contracts.stage import Stage
from tests.contracts.world import World, genesis

WORLD_EXAMPLES = 200  # histories on one chain, before a new one begins


def main() -> None:
    """Plays histories until one disagrees with the model, and counts what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=3000)
    parser.add_argument("--engine", choices=["pyevm", "anvil"], default="pyevm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ms-per-tick", type=int, choices=[1, 1000], default=1)
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    started = time.monotonic()
    engines: list[Engine] = []
    worlds: list[World] = []

    def world() -> World:
        if seen["histories"] % WORLD_EXAMPLES == 1 or not worlds:
            while engines:
                engines.pop().close()
            make = Anvil if options.engine == "anvil" else PyEvm
            engines.append(make(None, genesis(options.ms_per_tick)))
            worlds[:] = [World(engines[0])]
        return worlds[0]

    @seed(options.seed)
    @settings(
        max_examples=options.examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(steps())
    def play(history_steps: list[Step]) -> None:
        seen["histories"] += 1
        history = History(Stage(world()))
        for step in history_steps:
            history.play(step)
        seen["steps"] += len(history_steps)
        seen["deals executed"] += history.executed
        seen.update(history.reasons)

    try:
        play()
    finally:
        while engines:
            engines.pop().close()
        for name, count in sorted(seen.items()):
            print(f"{count:8} {name}")
        print(f"{time.monotonic() - started:8.0f} seconds")


if __name__ == "__main__":
    main()
