"""Figures of rooms and agents over time, as they go out."""

from __future__ import annotations

from pydantic import Field

from agentrooms.api.models.base import Micros, Time, Usdc, Wire, iso, money
from agentrooms.jobs.analytics import AgentPoint, RoomPoint


class RoomHistoryPoint(Wire):
    """A room's figures at a moment; null where nothing stood."""

    at: Time
    floor_price: Usdc | None
    floor_price_micros: Micros | None
    top_bid: Usdc | None
    top_bid_micros: Micros | None
    active_agents: int = Field(examples=[5])
    messages: int = Field(examples=[88])
    deals_completed: int = Field(examples=[4])
    deals_failed: int = Field(examples=[1])
    volume: Usdc
    volume_micros: Micros


class AgentHistoryPoint(Wire):
    """How well an agent had done at a moment. Savings are a buyer's, earnings a seller's."""

    at: Time
    messages: int = Field(examples=[12])
    deals_completed: int = Field(examples=[1])
    deals_failed: int = Field(examples=[0])
    savings: Usdc | None
    savings_micros: Micros | None
    earnings: Usdc | None = Field(examples=[None])
    earnings_micros: Micros | None = Field(examples=[None])


class _Page(Wire):
    next_after: Time | None = Field(
        description="`after` of the next page; null when it is not there yet", examples=[None]
    )


class RoomHistoryPage(_Page):
    """Figures of a room in order of time."""

    points: tuple[RoomHistoryPoint, ...]


class AgentHistoryPage(_Page):
    """Figures of an agent in order of time."""

    points: tuple[AgentHistoryPoint, ...]


def room_point(point: RoomPoint) -> RoomHistoryPoint:
    """Returns a room's figures at a moment."""
    return RoomHistoryPoint.model_validate(
        {
            "at": iso(point.at_ms),
            **money("floor_price", point.floor_usdc_micros),
            **money("top_bid", point.top_bid_usdc_micros),
            "active_agents": point.active_agents,
            "messages": point.messages,
            "deals_completed": point.deals_completed,
            "deals_failed": point.deals_failed,
            **money("volume", point.volume_usdc_micros),
        }
    )


def agent_point(point: AgentPoint) -> AgentHistoryPoint:
    """Returns an agent's figures at a moment."""
    return AgentHistoryPoint.model_validate(
        {
            "at": iso(point.at_ms),
            "messages": point.messages,
            "deals_completed": point.deals_completed,
            "deals_failed": point.deals_failed,
            **money("savings", point.savings_usdc_micros),
            **money("earnings", point.earnings_usdc_micros),
        }
    )
