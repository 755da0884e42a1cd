"""Logs of real runs, each run once a session."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from agentrooms.actors.messages import Message
from agentrooms.actors.runtime import Send
from agentrooms.domain.event import Event
from agentrooms.events.record import Recorded, decode_line
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings, preset


class Silent:
    """An actor that answers nothing."""

    def receive(self, message: Message) -> list[Send]:
        """Says nothing."""
        return []


def settings(name: str, seed: int, *, underfunded: int = 0) -> RunSettings:
    """A preset's settings, with a part of the buyers' wallets empty (permille)."""
    return msgspec.structs.replace(preset(name, seed), underfunded_permille=underfunded)


def engine(run: RunSettings, *, silent: int = 0, hosts: int = 1) -> Engine:
    """An engine before its run, with some verifiers that never answer."""
    made = Engine(run, hosts=hosts)
    for number in range(1, silent + 1):
        made.runtime.place(f"verifier:verifier_{number}", Silent)
    return made


def log_of(made: Engine) -> tuple[bytes, ...]:
    """All lines of a run's log, in order."""
    return tuple(p.event.data for p in made.store.read())


@lru_cache(maxsize=32)
def lines(run: RunSettings, silent: int = 0, hosts: int = 1) -> tuple[bytes, ...]:
    """The log of a finished run."""
    made = engine(run, silent=silent, hosts=hosts)
    made.run()
    return log_of(made)


def recorded(run: RunSettings, silent: int = 0) -> tuple[Recorded, ...]:
    """The decoded log of a finished run."""
    return tuple(decode_line(line) for line in lines(run, silent))


def room_events(run: RunSettings, silent: int = 0) -> tuple[Event, ...]:
    """The events of the run's one room."""
    return tuple(r.event for r in recorded(run, silent) if r.chain != "platform")


RUNS = {
    "small": (settings("small_test", 1), 0),
    "balanced": (settings("balanced_market", 7), 0),
    "competition": (settings("high_competition", 2), 0),
    "underfunded": (settings("balanced_market", 3, underfunded=1000), 0),
    "no_quorum": (settings("balanced_market", 7), 3),
    "hasty": (msgspec.structs.replace(settings("balanced_market", 7), deal_ms=2_000), 0),  # transactions come too late
}
