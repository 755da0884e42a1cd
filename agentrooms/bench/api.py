"""`agentrooms bench api`: the API's sockets and its REST part, each over services of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agentrooms.bench.rows import Progress, Row, SocketRow

CLIENTS, ROOMS, SECONDS = 1_000, 10, 10.0
QUICK_CLIENTS, QUICK_ROOMS, QUICK_SECONDS = 20, 2, 1.0
CLIENTS_MAX = 2_000  # of one address


def run_api(
    *, clients: int | None, rooms: int | None, seconds: float | None, quick: bool, say: Progress
) -> tuple[list[SocketRow], list[Row]]:
    """Measures sockets and REST. What is None is as the aims have it, or small when it shall be quick.

    Raises what a service raises that does not start, BenchFailed when the API does not do what is measured.
    """
    from agentrooms.bench.api_rest import run_rest  # noqa: PLC0415 - each needs much that the other does not
    from agentrooms.bench.api_sockets import run_sockets  # noqa: PLC0415 - the same

    clients = clients or (QUICK_CLIENTS if quick else CLIENTS)
    rooms = min(clients, rooms or (QUICK_ROOMS if quick else ROOMS))
    seconds = seconds or (QUICK_SECONDS if quick else SECONDS)
    with tempfile.TemporaryDirectory(prefix="agentrooms-bench-") as folder:
        path = Path(folder)
        sockets = run_sockets(
            clients=clients, rooms=rooms, seconds=seconds, search=not quick, say=say, folder=path / "sockets"
        )
        return sockets, run_rest(seconds=seconds / 2, say=say, folder=path / "rest")
