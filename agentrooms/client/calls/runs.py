"""Reproducible simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentrooms.api.models.runs import RunAnswer, RunsPage
from agentrooms.client.call import Call, at, get, write


def list_runs(*, mine: bool | None = None, cursor: str | None = None, limit: int | None = None) -> Call[RunsPage]:
    """Lists runs."""
    return get("/runs", RunsPage, mine=mine, cursor=cursor, limit=limit)


def start_run(
    seed: int,
    *,
    preset: str | None = None,
    buyers: int | None = None,
    sellers: int | None = None,
    chain: Literal["ledger", "devnet"] | None = None,
) -> Call[RunAnswer]:
    """Starts a run, by preset or by numbers of buyers and sellers."""
    return write("POST", "/runs", RunAnswer, seed=seed, preset=preset, buyers=buyers, sellers=sellers, chain=chain)


def get_run(run: str) -> Call[RunAnswer]:
    """Gets a run."""
    return get(at("runs", run), RunAnswer)


def get_run_events(run: str) -> Call[bytes]:
    """Gets a run's log, one line of JSON an event."""
    return get(at("runs", run, "events"), bytes)


def fork_run(run: str, at_event: int, changes: Sequence[str]) -> Call[RunAnswer]:
    """Starts a run that equals another up to an event and differs from there on."""
    return write("POST", at("runs", run, "fork"), RunAnswer, at=at_event, changes=list(changes))
