"""Measures the core in one process: turns of agents, negotiations, replay and audit, each with its seeds.

Every event rate stands beside that of a baseline measured in the same run: encoding and hashing the same log,
and no more.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from agentrooms.bench.rows import Progress, Row, against, row
from agentrooms.domain.folding import fold
from agentrooms.domain.room import ActPosted, Room
from agentrooms.domain.terms import StrategyName
from agentrooms.events.record import Recorded, decode_line, encode_line, line_hash
from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from agentrooms.sim.bilateral import negotiate, parties
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import custom

SWARMS = (20, 100, 500)
TURNS = 50
NEGOTIATIONS = 500
REPEATS = 3
QUICK_PART = 10
TURNS_NAMED = "turns, silent ones included"


def run_core(seeds: tuple[int, ...], *, quick: bool, say: Progress) -> list[Row]:
    """Measures the core; `quick` measures small swarms only, to see that the bench itself works."""
    sizes = SWARMS[:1] if quick else SWARMS
    rows: list[Row] = []
    engines: list[Engine] = []
    for agents in sizes:
        say(f"swarms of {agents} agents")
        engines = [Engine(custom(seed, agents // 2, agents // 2)) for seed in seeds]
        rows += _swarm_rows(agents, engines, seeds)
    say("bilateral negotiations")
    rows += _bilateral_rows(seeds, NEGOTIATIONS // (QUICK_PART if quick else 1))
    say("replay and audit")
    rows += _log_rows(engines, seeds)
    return rows


def _swarm_rows(agents: int, engines: list[Engine], seeds: tuple[int, ...]) -> list[Row]:
    begun = perf_counter()
    for engine in engines:
        engine.run()
    seconds = perf_counter() - begun
    turns = sum(_turns(engine.room) for engine in engines)
    events = [decode_line(line).event for engine in engines for line in archive.lines_of(engine)]
    posted = sum(isinstance(event, ActPosted) for event in events)
    name = f"swarm of {agents}"
    return [
        row(f"{name}: {TURNS_NAMED}", "turns", turns, seconds, seeds, aim=20_000, events=len(events)),
        row(f"{name}: posted acts", "acts", posted, seconds, seeds, events=len(events)),
    ]


def _turns(room: Room) -> int:
    """Returns how often agents were asked: once a round from the one after joining to that of leaving."""
    ends = ((a.left_round if a.left_round is not None else room.round, a.joined_round) for a in room.agents.values())
    return sum(left - joined for left, joined in ends)


def _bilateral_rows(seeds: tuple[int, ...], count: int) -> list[Row]:
    """Measures negotiations whose limits do not meet, so that each takes all its turns; in one process and in all."""
    first, processes = seeds[0] * 1_000_000, os.cpu_count() or 1
    name = f"bilateral negotiations of {TURNS} turns"
    alone, events = _best(lambda: _negotiate(first, count)), _negotiate(first, count)
    chunks = [(first + n * count, count) for n in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(_negotiate, *zip(*((first, 10) for first, _count in chunks), strict=True)))  # imports, warms up
        together = _best(lambda: list(pool.map(_negotiate, *zip(*chunks, strict=True))))
        all_events = sum(pool.map(_negotiate, *zip(*chunks, strict=True)))
    unit, used = "negotiations", seeds[:1]
    return [
        row(f"{name}, 1 process", unit, count, alone, used, aim=600, events=events),
        row(f"{name}, {processes} processes", unit, count * processes, together, used, events=all_events),
    ]


def _negotiate(first: int, count: int) -> int:
    """Negotiates between all pairs of strategies in turn; returns how many events that left."""
    pairs = [(buying, selling) for buying in StrategyName for selling in StrategyName]
    events = 0
    for n in range(first, first + count):
        buyer, seller = parties(n, pairs[n % len(pairs)], agreeable=False)
        events += negotiate(buyer, seller, seed=n, turns=TURNS).events
    return events


def _log_rows(engines: list[Engine], seeds: tuple[int, ...]) -> list[Row]:
    lines = [line for engine in engines for line in archive.lines_of(engine)]
    events = [decode_line(line) for line in lines]
    rooms = [[line for line in archive.lines_of(e) if decode_line(line).chain == e.room_id] for e in engines]

    def replay() -> None:
        for room in rooms:
            fold(Room(), (decode_line(line).event for line in room))

    baseline = row("baseline: encode and hash", "events", len(lines), _best(lambda: _encode(events)), seeds)
    replayed = sum(map(len, rooms))
    rows = [
        baseline,
        row("replay: decode and fold", "events", replayed, _best(replay), seeds, aim=100_000),
        row("verify", "events", len(lines), _audit_seconds(engines), seeds),
    ]
    return [rows[0], *(against(figure, baseline) for figure in rows[1:])]


def _encode(events: list[Recorded]) -> None:
    for r in events:
        line = encode_line(r.event, chain=r.chain, seq=r.seq, at_ms=r.at_ms, cmd=r.cmd, tags=r.tags, prev=r.prev)
        line_hash(line)


def _audit_seconds(engines: list[Engine]) -> float:
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, str(n)) for n in range(len(engines))]
        for folder, engine in zip(folders, engines, strict=True):
            archive.write(folder, engine)

        def audit_all() -> None:
            for folder in folders:
                assert audit(folder).passed, f"the archive in {folder} does not verify"

        return _best(audit_all)


def _best(work: Callable[[], object]) -> float:
    """Returns the shortest of a few runs: what disturbs a run only makes it longer."""
    times = []
    for _repeat in range(REPEATS):
        begun = perf_counter()
        work()
        times.append(perf_counter() - begun)
    return min(times)
