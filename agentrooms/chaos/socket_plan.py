"""What happens to those who watch in one seed: which faults, when, and for how long. Drawn from the seed alone."""

from __future__ import annotations

import msgspec

from agentrooms.domain.ids import draw_below, seed_bytes

FAULTS: tuple[str, ...] = (
    "connections.cut",  # reset
    "connections.hushed",  # nothing comes through any more, and neither end is told
    "connections.held",  # what the API sends comes late
    "frames.lost",
    "api.kill",  # kill -9; it is started again
    "api.end",  # in good order
    "api.slow",  # stopped, then continued
    "redis.kill",
    "redis.slow",
    "redis.unsubscribed",  # the connections of those who listen are broken
    "redis.echo",  # events are published again, doubled, cut off and in any order
    "room.kill",
    "projector.kill",
    "log.kill",
    "host.kill",
    "desk.kill",
    "postgres.kill",
    "postgres.restart",
)
FAULTS_A_SEED = (6, 10)
AFTER = (10, 60)  # events since the fault before was mended
LASTS_MS = (100, 2_500)
SHARES = (0.2, 0.5, 1.0)  # of the connections, or of the frames
SIDE = (4, 7)  # buyers, and sellers


class SocketFault(msgspec.Struct, frozen=True):
    """One fault, `after_events` after the one before was mended. `which` chooses among victims of a kind."""

    what: str
    after_events: int
    lasts_ms: int
    which: int

    @property
    def share(self) -> float:
        """How much of it is struck, where there is a choice."""
        return SHARES[self.which % len(SHARES)]


class SocketPlan(msgspec.Struct, frozen=True):
    """One seed."""

    seed: int
    buyers: int
    sellers: int
    faults: tuple[SocketFault, ...]


def draw_socket_plan(seed: int) -> SocketPlan:
    """Returns the plan of a seed. Each begins with another fault of the list."""
    key = seed_bytes(f"chaos/sockets/{seed}")

    def between(limits: tuple[int, int], purpose: str, k: int = 0) -> int:
        least, most = limits
        return least + draw_below(key, most - least + 1, purpose, k=k)

    faults = [
        SocketFault(
            what=FAULTS[(seed if n == 0 else between((0, len(FAULTS) - 1), "what", n)) % len(FAULTS)],
            after_events=between(AFTER, "after", n),
            lasts_ms=between(LASTS_MS, "lasts", n),
            which=between((0, 999), "which", n),
        )
        for n in range(between(FAULTS_A_SEED, "faults"))
    ]
    return SocketPlan(seed, between(SIDE, "buyers"), between(SIDE, "sellers"), tuple(faults))
