"""How rooms and agents did over time: what the job of every five minutes has kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from agentrooms.api.home import HomeDep
from agentrooms.api.models.base import problems
from agentrooms.api.models.history import AgentHistoryPage, RoomHistoryPage, agent_point, room_point
from agentrooms.api.routes.common import PathId
from agentrooms.api.strict import StrictRoute
from agentrooms.jobs.analytics import POINTS_MAX
from agentrooms.projections import queries

router = APIRouter(route_class=StrictRoute)

POINTS = 288  # a day of five-minute points
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

After = Annotated[
    AwareDatetime | None, Query(description="Time of the last point one has", examples=["2026-11-22T10:00:00.000Z"])
]
Most = Annotated[int, Query(ge=1, le=POINTS_MAX)]


@router.get(
    "/rooms/{id}/history",
    operation_id="getRoomHistory",
    summary="Get a room's history",
    responses=problems(404),
    tags=["rooms"],
)
def get_room_history(home: HomeDep, id: PathId, after: After = None, limit: Most = POINTS) -> RoomHistoryPage:
    """A room's figures every five minutes, where they had changed, in order of time. A month is kept."""
    home.reads.run(lambda read: queries.room(read, id))
    points = tuple(map(room_point, home.history.room(id, after_ms=_ms(after), limit=limit)))
    return RoomHistoryPage(points=points, next_after=points[-1].at if len(points) == limit else None)


@router.get(
    "/agents/{id}/history",
    operation_id="getAgentHistory",
    summary="Get an agent's history",
    responses=problems(404),
    tags=["agents"],
)
def get_agent_history(home: HomeDep, id: PathId, after: After = None, limit: Most = POINTS) -> AgentHistoryPage:
    """How a person's agent did, every five minutes where that had changed. A month is kept; of swarms' agents none."""
    home.reads.run(lambda read: queries.agent(read, id))
    points = tuple(map(agent_point, home.history.agent(id, after_ms=_ms(after), limit=limit)))
    return AgentHistoryPage(points=points, next_after=points[-1].at if len(points) == limit else None)


def _ms(at: datetime | None) -> int:
    return 0 if at is None else (at - EPOCH) // timedelta(milliseconds=1)
