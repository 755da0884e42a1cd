"""What is measured, as rows. Absolute figures say as much about the machine as about the program; ratios say more."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Progress = Callable[[str], None]
PERMILLE = 1_000


class Row(msgspec.Struct, frozen=True):
    """One figure: how many units a second, the best of the repeats; `ratio_permille` is against the baseline.

    A turn is one look of an agent at its market, whether it then speaks or not. `events_permille` is how many
    events one unit leaves in the log, in thousandths. `p50_micros` and `p99_micros` are times of single units.
    """

    name: str
    per_second: int
    unit: str
    count: int
    seconds_micros: int
    seeds: tuple[int, ...]
    aim: int | None = None
    ratio_permille: int | None = None
    events_permille: int | None = None
    p50_micros: int | None = None
    p99_micros: int | None = None
    aim_p50_micros: int | None = None
    aim_p99_micros: int | None = None


class Start(msgspec.Struct, frozen=True):
    """How long a swarm took from a started Ray to its first offer, and what its processes weigh then.

    `pss_bytes` is proportional memory: what is shared counts once, in parts.
    """

    name: str
    agents: int
    processes: int
    first_offer_micros: int
    pss_bytes: int
    aim_micros: int | None = None
    aim_bytes: int | None = None


class SocketRow(msgspec.Struct, frozen=True):
    """How a server of sockets did: rooms say so many events a second each, and every client watches one of them.

    A delivery is one frame at one client. Times are from when an event was due to its receipt; `durable` ones to its
    commit. `closed` clients were too slow, `not_published` events had to be read from the log. `cpu_nanos` is what
    the server's process used for a delivery, `ratio_permille` against the baseline. `busy_permille` tells how much
    of a core each process used.
    """

    name: str
    clients: int
    rooms: int
    events_a_second: int
    events: int
    deliveries: int
    deliveries_a_second: int
    closed: int
    not_published: int
    cpu_nanos: int
    busy_permille: dict[str, int]
    p50_micros: int | None = None
    p99_micros: int | None = None
    durable_p50_micros: int | None = None
    durable_p99_micros: int | None = None
    ratio_permille: int | None = None
    aim_p99_micros: int | None = None
    aim_ratio_permille: int | None = None


class BenchReport(msgspec.Struct, frozen=True):
    """All figures of one run, in the order measured."""

    rows: tuple[Row, ...] = ()
    starts: tuple[Start, ...] = ()
    sockets: tuple[SocketRow, ...] = ()


def row(
    name: str,
    unit: str,
    count: int,
    seconds: float,
    seeds: tuple[int, ...] = (),
    *,
    aim: int | None = None,
    events: int | None = None,
) -> Row:
    """Returns a figure from a count and the seconds it took."""
    each = events * PERMILLE // count if events is not None and count else None
    return Row(name, int(count / seconds), unit, count, int(seconds * 1_000_000), seeds, aim, events_permille=each)


def against(figure: Row, baseline: Row) -> Row:
    """Returns the figure with its ratio to a baseline."""
    return msgspec.structs.replace(figure, ratio_permille=figure.per_second * PERMILLE // max(1, baseline.per_second))


def with_times(figure: Row, times_s: list[float]) -> Row:
    """Returns the figure with the median and the 99th percentile of single times."""
    ordered = sorted(times_s)
    return msgspec.structs.replace(figure, p50_micros=share(ordered, 0.5), p99_micros=share(ordered, 0.99))


def share(ordered: list[float], of: float) -> int:
    """Returns the time that a share of ordered times stays under, in microseconds."""
    return int(ordered[min(len(ordered) - 1, int(len(ordered) * of))] * 1_000_000)
