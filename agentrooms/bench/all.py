"""Runs the parts of the bench with services of its own, started for it and ended after it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agentrooms.bench.rows import BenchReport, Progress, Row, SocketRow, Start
from agentrooms.services.postgres import Postgres


class Audience(NamedTuple):
    """Who watches how many rooms for how long while the API is measured; None for as many as the aims have."""

    clients: int | None = None
    rooms: int | None = None
    seconds: float | None = None


def run_bench(
    parts: Collection[str], seeds: tuple[int, ...], *, quick: bool, say: Progress, audience: Audience | None = None
) -> BenchReport:
    """Measures the parts, in the order of this page. Raises what a service raises that does not start."""
    rows: list[Row] = []
    starts: list[Start] = []
    sockets: list[SocketRow] = []
    if "core" in parts:
        from agentrooms.bench.core import run_core  # noqa: PLC0415 - each part imports what it needs, no other does

        rows += run_core(seeds, quick=quick, say=say)
    if {"log", "rooms", "models", "settlement"} & set(parts):
        with _postgres() as dsn:
            rows += _on_postgres(dsn, parts, seeds, quick=quick, say=say)
    if "swarms" in parts:
        from agentrooms.bench.swarms import run_swarms  # noqa: PLC0415 - the same

        with _ray():
            starts += run_swarms(quick=quick, say=say)
    if "nodes" in parts:
        from agentrooms.bench.swarms import run_nodes  # noqa: PLC0415 - the same

        rows += run_nodes(quick=quick, say=say)
    if "api" in parts:
        from agentrooms.bench.api import run_api  # noqa: PLC0415 - the same

        seen = audience or Audience()
        sockets, asked = run_api(clients=seen.clients, rooms=seen.rooms, seconds=seen.seconds, quick=quick, say=say)
        rows += asked
    return BenchReport(tuple(rows), tuple(starts), tuple(sockets))


def _on_postgres(dsn: str, parts: Collection[str], seeds: tuple[int, ...], *, quick: bool, say: Progress) -> list[Row]:
    rows: list[Row] = []
    if "log" in parts:
        from agentrooms.bench.log import run_log  # noqa: PLC0415 - the same

        rows += run_log(dsn, quick=quick, say=say)
    if "rooms" in parts:
        from agentrooms.bench.rooms import run_rooms  # noqa: PLC0415 - the same

        with _ray():
            rows += run_rooms(dsn, quick=quick, say=say)
    if "settlement" in parts:
        from agentrooms.bench.settlement import run_settlement  # noqa: PLC0415 - the same

        with _ray():
            rows += run_settlement(dsn, quick=quick, say=say)
    if "models" in parts:
        from agentrooms.bench.models import run_models  # noqa: PLC0415 - the same

        rows += run_models(dsn, seeds, quick=quick, say=say)
    return rows


@contextmanager
def _postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="agentrooms-bench-") as folder:
        server = Postgres(Path(folder) / "postgres")
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def _ray() -> Iterator[None]:
    from agentrooms.services.ray import start_ray  # noqa: PLC0415 - the same

    cluster = start_ray(None)
    try:
        yield
    finally:
        cluster.stop()
