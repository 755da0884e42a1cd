"""Swarms as they go out, and what is asked of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from agentrooms.api.models.agents import AgentBody
from agentrooms.api.models.base import Asked, Id, Micros, Time, Usdc, Wire, iso, money
from agentrooms.domain.swarm import SwarmStatus
from agentrooms.live.commands import SEED_MAX
from agentrooms.projections.read_rows import SwarmRow
from agentrooms.projections.read_views import SwarmAnalytics
from agentrooms.sim.settings import SIDE_MAX

SWARM = "swarm_m4k7j2h5g3fda"  # in examples


def _whole(value: Any) -> Any:  # noqa: ANN401 - whatever a body holds
    """Refuses what equals a number and is none."""
    if isinstance(value, bool):
        raise ValueError("should be a whole number")  # noqa: TRY004 - pydantic's way
    return value


Speed = Annotated[Literal[0, 1, 10], BeforeValidator(_whole)]


Preset = Literal["small_test", "balanced_market", "high_competition", "buyers_market"]
"""The PRD's presets; their sizes are `sim.settings.PRESETS`."""


class Sized(Asked):
    """How many agents a swarm or a run has: by preset, or by its buyers and sellers."""

    preset: Preset | None = Field(default=None, examples=["small_test"])
    buyers: int | None = Field(default=None, ge=1, le=SIDE_MAX, strict=True)
    sellers: int | None = Field(default=None, ge=1, le=SIDE_MAX, strict=True)

    @model_validator(mode="after")
    def _sized_once(self) -> Self:
        by_numbers = self.buyers is not None and self.sellers is not None
        if (self.buyers is None) != (self.sellers is None) or by_numbers == (self.preset is not None):
            raise ValueError("give a preset, or buyers and sellers")
        return self


class SpawnSwarmAsked(Sized):
    """A swarm, by its preset or by its buyers and sellers. Without a room it opens one of its own."""

    room_id: Id | None = Field(default=None, examples=["room_lg4yq2x7mk3ve"])
    seed: int | None = Field(default=None, ge=0, le=SEED_MAX, strict=True, description="What its agents are drawn from")
    speed: Speed = Field(default=1, description="Times room time; 0 is as fast as it goes")


class SteerSwarmAsked(Asked):
    """What a swarm is to do."""

    action: Literal["pause", "resume", "stop", "speed"]
    speed: Speed | None = Field(default=None, description="With action speed")

    @model_validator(mode="after")
    def _speed_with_speed(self) -> SteerSwarmAsked:
        if (self.action == "speed") != (self.speed is not None):
            raise ValueError("speed goes with the action speed, and only with it")
        return self


class SwarmBody(Wire):
    """One swarm."""

    id: str = Field(examples=[SWARM])
    room_id: str = Field(examples=["room_lg4yq2x7mk3ve"])
    user_id: str = Field(description="Who started it", examples=["user_m2c5rk7xq3zvy"])
    preset: str = Field(description="The preset it was drawn from, or custom", examples=["small_test"])
    total_agents: int = Field(examples=[5])
    buyers_count: int = Field(examples=[2])
    sellers_count: int = Field(examples=[3])
    status: SwarmStatus
    speed: int = Field(examples=[1])
    started_at: Time
    updated_at: Time


class SwarmsPage(Wire):
    """Swarms by id."""

    swarms: tuple[SwarmBody, ...]
    next_cursor: str | None = Field(examples=[None])


class SwarmFigures(Wire):
    """What a swarm's agents did together. Times in seconds of room time, shares from 0 to 1."""

    avg_deal_time: float | None = Field(description="From both parties' presence to the lock", examples=[21.5])
    success_rate: float | None = Field(description="Completed deals over those that ended", examples=[1.0])
    deal_rate: float | None = Field(description="Completed deals over the agents of its smaller side", examples=[0.5])
    joined: int = Field(description="Agents that have joined", examples=[5])
    active_agents: int = Field(examples=[3])
    messages: int = Field(examples=[41])
    deals: int = Field(description="Locked so far", examples=[1])
    deals_completed: int = Field(examples=[1])
    deals_failed: int = Field(examples=[0])
    volume: Usdc
    volume_micros: Micros
    avg_price: float | None = Field(description="Rounded down to whole micro-USDC", examples=[48.25])
    avg_price_micros: Micros | None
    avg_over_floor_permille: int | None = Field(description="Mean of price over floor, minus the floor", examples=[-12])
    savings: Usdc = Field(description="Floors minus prices its buyers paid")
    savings_micros: Micros
    earnings: Usdc = Field(description="Prices its sellers got minus floors")
    earnings_micros: Micros


class SwarmDetail(SwarmBody):
    """One swarm with its agents and what they did."""

    agents: tuple[AgentBody, ...]
    deals_completed: int = Field(examples=[1])
    analytics: SwarmFigures


class SwarmAnswer(Wire):
    """One swarm."""

    swarm: SwarmDetail


class AnalyticsAnswer(Wire):
    """What a swarm did."""

    swarm_id: str = Field(examples=[SWARM])
    room_id: str = Field(examples=["room_lg4yq2x7mk3ve"])
    status: SwarmStatus
    analytics: SwarmFigures


def swarm_fields(row: SwarmRow) -> dict[str, object]:
    """Returns the fields of a swarm."""
    return {
        "id": row.swarm,
        "room_id": row.room,
        "user_id": row.user_id,
        "preset": row.preset,
        "total_agents": row.buyers + row.sellers,
        "buyers_count": row.buyers,
        "sellers_count": row.sellers,
        "status": row.status,
        "speed": row.speed,
        "started_at": iso(row.started_at_ms),
        "updated_at": iso(row.updated_at_ms),
    }


def swarm_figures(row: SwarmAnalytics) -> SwarmFigures:
    """Returns what a swarm's agents did."""
    return SwarmFigures.model_validate(
        {
            "avg_deal_time": None if row.avg_time_to_deal_ms is None else row.avg_time_to_deal_ms / 1_000,
            "success_rate": None if row.success_permille is None else row.success_permille / 1_000,
            "deal_rate": None if row.deal_rate_permille is None else row.deal_rate_permille / 1_000,
            "joined": row.joined,
            "active_agents": row.present,
            "messages": row.messages,
            "deals": row.deals,
            "deals_completed": row.deals_completed,
            "deals_failed": row.deals_failed,
            **money("volume", row.volume_usdc_micros),
            **money("avg_price", row.avg_price_usdc_micros),
            "avg_over_floor_permille": row.avg_over_floor_permille,
            **money("savings", row.savings_usdc_micros),
            **money("earnings", row.earnings_usdc_micros),
        }
    )
