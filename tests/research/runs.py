"""Archives for the tests of this folder. Strategies change, so no test here knows a figure of a seed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agentrooms.domain.folding import fold as fold_room
from agentrooms.domain.room import Room
from agentrooms.events.record import PLATFORM, Recorded
from agentrooms.sim import archive
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings, preset


def make(folder: Path, settings: RunSettings) -> Path:
    """Run a swarm and return its archive's folder."""
    engine = Engine(settings)
    engine.run()
    archive.write(folder, engine)
    return folder


def lively(seed: int) -> RunSettings:
    """Return a market whose quotes expire soon."""
    return msgspec.structs.replace(preset("balanced_market", seed), quote_rounds=8)


def doomed(seed: int) -> RunSettings:
    """Return a market whose buyers' wallets are all empty, so that every deal fails."""
    return msgspec.structs.replace(preset("high_competition", seed), underfunded_permille=1000)


def replayed(events: list[Recorded], number: int) -> Room:
    """Return the room after the first events, by the plainest way there is."""
    return fold_room(Room(), [r.event for r in events[:number] if r.chain != PLATFORM])
