"""What happens in one seed of chaos: which system, what strikes it, where and when. Drawn from the seed alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from agentrooms.domain.ids import draw_below, seed_bytes

Mode = Literal["reproducible", "live"]
MODES: tuple[Mode, ...] = ("reproducible", "live")

KILL, END, SLOW, POINT, SECOND, FULL, RESTART, CUT, CLOCK = (
    "kill",  # kill -9 of the process
    "end",  # ray.kill, which lets Ray make the actor anew
    "slow",  # stopped and continued
    "point",  # the process ends when it comes by a named place
    "second",  # another one of its kind on the same data
    "full",  # no room on the disk
    "restart",  # ended and started in good order
    "cut",  # all actors at once, for good; then the system is started anew
    "clock",  # the wall's clock jumps, as somebody sets it
)
POINTS: dict[str, tuple[str, ...]] = {
    "chain": ("chain.before_keep", "chain.after_keep"),
    "desk": ("desk.after_keep", "desk.after_append", "desk.before_answer"),
    "log": ("log.before_commit", "log.after_commit", "log.before_answer"),
    "projector": ("projector.before_commit", "projector.after_commit"),
    "room": ("room.before_append", "room.after_append"),
    "settlement": ("settlement.before_put", "settlement.before_send", "settlement.after_send"),
    "verifier": ("verifier.before_put", "verifier.after_put"),
}
ONCE_A_DEAL = frozenset({"chain", "desk", "settlement"})  # their points are passed a few times only
PASSAGES = 6  # the last passage of a point at which it may act
WITH_A_SECOND = ("log", "projector", "room")
LIVE_ONLY = frozenset({"desk", "redis"})
ACTORS = ("chain", "desk", "host", "log", "projector", "room", "settlement", "verifier")

GROUPS_MAX = 4  # times that something strikes in one seed
AT_ONCE_MAX = 3
AFTER: dict[Mode, tuple[int, int]] = {"reproducible": (5, 50), "live": (5, 150)}  # events; nearly all seeds have more
LATER_MS = (1, 400)  # for half of all groups: a moment that no event marks
LASTS_MS = (0, 1_200)  # how long a group's damage is left before it is mended
JUMPS_S = (-86_400, -3_600, -60, 60, 3_600, 86_400)  # of a clock
SIDE = (2, 4)  # buyers, and sellers


class Strike(msgspec.Struct, frozen=True):
    """One blow. `which` chooses among several victims of a kind; a `point` acts at its `passage`-th passage.

    Of a clock `which` chooses the jump: only one process has one.
    """

    victim: str
    how: str
    which: int = 0
    point: str = ""
    passage: int = 1

    def __str__(self) -> str:
        return f"{self.victim} {f'at {self.point}/{self.passage}' if self.point else self.how}"


class Group(msgspec.Struct, frozen=True):
    """Strikes at once, `later_ms` after the log has so many events; what does not mend itself is mended `lasts_ms` later."""

    after_events: int
    later_ms: int
    lasts_ms: int
    strikes: tuple[Strike, ...]

    def __str__(self) -> str:
        later = f"+{self.later_ms} ms" if self.later_ms else ""
        return f"{self.after_events}{later}: {' + '.join(map(str, self.strikes))}"


class Plan(msgspec.Struct, frozen=True):
    """One seed's system and what strikes it. `agents_per_actor` None packs agents as the machine carries."""

    seed: int
    mode: Mode
    buyers: int
    sellers: int
    agents_per_actor: int | None
    groups: tuple[Group, ...]

    def __str__(self) -> str:
        hosts = "an actor each" if self.agents_per_actor == 1 else "packed"
        return f"{self.mode}, {self.buyers}+{self.sellers} agents, {hosts}; " + ", ".join(map(str, self.groups))


def draw_plan(seed: int, mode: Mode | None = None) -> Plan:
    """Returns the plan of a seed. Seeds alternate between the modes, and each begins with another strike of the menu."""
    key = seed_bytes(f"chaos/{seed}")

    def below(bound: int, purpose: str, k: int = 0) -> int:
        return draw_below(key, bound, purpose, k=k)

    mode = mode or MODES[seed % len(MODES)]
    strikes = menu(mode)
    groups = []
    for n in range(1 + below(GROUPS_MAX, "groups")):
        at_once = 1 + max(0, below(AT_ONCE_MAX + 2, "at-once", n) - 2)
        drawn = [strikes[below(len(strikes), f"strike-{n}", k)] for k in range(at_once)]
        if n == 0:
            drawn[0] = strikes[seed // len(MODES) % len(strikes)]
        after = _between(AFTER[mode], below, n)
        later = _between(LATER_MS, below, n) if below(2, "later", n) else 0
        aimed = tuple(_aimed(strike, below, n * 10 + k) for k, strike in enumerate(drawn))
        groups.append(Group(after, later, _between(LASTS_MS, below, n), aimed))
    return Plan(
        seed=seed,
        mode=mode,
        buyers=_between(SIDE, below, 0),
        sellers=_between(SIDE, below, 1),
        agents_per_actor=1 if below(3, "packed") == 0 else None,
        groups=tuple(sorted(groups, key=lambda group: group.after_events)),
    )


def menu(mode: Mode) -> tuple[Strike, ...]:
    """Returns every kind of strike of a mode."""
    found = [Strike(victim, how) for victim in ACTORS for how in (KILL, END, SLOW)]
    found += [Strike(victim, POINT, point=point) for victim, points in POINTS.items() for point in points]
    found += [Strike(victim, SECOND) for victim in WITH_A_SECOND]
    found += [Strike("postgres", KILL), Strike("postgres", RESTART), Strike("disk", FULL)]
    found += [Strike("redis", KILL), Strike("redis", SLOW), Strike("node", KILL), Strike("system", CUT)]
    found += [Strike("desk", CLOCK)]  # nobody else looks at the wall
    return tuple(strike for strike in found if mode == "live" or strike.victim not in LIVE_ONLY)


def _aimed(strike: Strike, below: Callable[[int, str, int], int], k: int) -> Strike:
    passages = 1 if strike.victim in ONCE_A_DEAL else PASSAGES
    passage = 1 + below(passages, "passage", k) if strike.point else 1
    return msgspec.structs.replace(strike, which=below(1_000, "which", k), passage=passage)


def _between(limits: tuple[int, int], below: Callable[[int, str, int], int], n: int) -> int:
    least, most = limits
    return least + below(most - least + 1, f"{least}-{most}", n)
