"""Simulated runs as they go out, and what is asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from agentrooms.api.models.base import Asked, Plain, Time, Wire, iso
from agentrooms.api.models.records import wire_of, wired
from agentrooms.api.models.swarms import Sized
from agentrooms.jobs.queue import State
from agentrooms.jobs.runs import CHANGE_CHARACTERS_MAX, CHANGES_MAX, RunState
from agentrooms.live.commands import SEED_MAX
from agentrooms.sim.settings import RunSettings

if TYPE_CHECKING:
    SettingsBody = Wire
else:
    SettingsBody = wire_of(RunSettings)

RUN = "run_4q7rx2l3vnk5e"  # in examples
RUN_ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
EVENT_MAX = 10**9


class StartRunAsked(Sized):
    """A run to make, by preset or by its buyers and sellers. The same seed and sizes are the same run, to the byte."""

    seed: int = Field(ge=0, le=SEED_MAX, strict=True, examples=[7])
    chain: Literal["ledger", "devnet"] = Field(default="ledger", description="What its deals settle on")


class ForkAsked(Asked):
    """Where a fork leaves its run, and what is other from there on."""

    at: int = Field(
        ge=1, le=EVENT_MAX, strict=True, description="It equals the run up to the round of this event", examples=[40]
    )
    changes: tuple[Annotated[str, Plain, Field(min_length=1, max_length=CHANGE_CHARACTERS_MAX)], ...] = Field(
        min_length=1, max_length=CHANGES_MAX, examples=[["agent.agent_4q7rx2l3vnk5e.strategy=patient"]]
    )


class ForkBody(Wire):
    """What a run is a fork of."""

    of: str = Field(examples=[RUN])
    at: int = Field(examples=[40])
    changes: tuple[str, ...] = Field(examples=[["agent.agent_4q7rx2l3vnk5e.strategy=patient"]])


class RunBody(Wire):
    """One run. Its wallets are mock ones: nothing of it is anybody's secret."""

    id: str = Field(examples=[RUN])
    user_id: str | None = Field(description="Who had it made", examples=["user_m2c5rk7xq3zvy"])
    status: State
    settings: SettingsBody | None = Field(description="Null for a fork")
    fork: ForkBody | None = Field(examples=[None])
    progress: dict[str, Any] = Field(
        description="How far it is", examples=[{"round": 44, "agents": 5, "deals": 1, "events": 130}]
    )
    result: dict[str, Any] = Field(description="Of its archive's manifest, when it is done", examples=[{}])
    error: str = Field(description="Why it failed; empty when it did not", examples=[""])
    created_at: Time
    ended_at: Time | None


class RunAnswer(Wire):
    """One run."""

    run: RunBody


class RunsPage(Wire):
    """Runs, the newest first."""

    runs: tuple[RunBody, ...]
    next_cursor: str | None = Field(examples=[None])


def run_body(state: RunState) -> RunBody:
    """Returns a run."""
    fork = state.fork
    return RunBody(
        id=state.id,
        user_id=state.user,
        status=state.state,
        settings=wired(state.settings) if state.settings is not None else None,
        fork=ForkBody(of=fork.of, at=fork.at, changes=fork.changes) if fork is not None else None,
        progress=state.progress,
        result=state.result,
        error=state.error,
        created_at=iso(state.created_at_ms),
        ended_at=iso(state.ended_at_ms),
    )
