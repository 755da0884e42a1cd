"""Swarms: many agents with mock wallets at once. Who starts one steers it; anybody may watch it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from agentrooms.api.auth.principal import SignedIn
from agentrooms.api.exports import Table, archive_of, lines_of, table_of
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.limits import HOUR_S
from agentrooms.api.models.agents import agent_body
from agentrooms.api.models.base import PAGE, problems
from agentrooms.api.models.swarms import (
    AnalyticsAnswer,
    SpawnSwarmAsked,
    SteerSwarmAsked,
    SwarmAnswer,
    SwarmBody,
    SwarmDetail,
    SwarmsPage,
    swarm_fields,
    swarm_figures,
)
from agentrooms.api.reading import Cursor, Limit, text_key
from agentrooms.api.routes.common import (
    ID_CHARACTERS_MAX,
    ID_PATTERN,
    NDJSON,
    CommandId,
    PathId,
    page_of,
    require_own,
)
from agentrooms.api.strict import StrictRoute
from agentrooms.live.commands import PauseSwarm, ResumeSwarm, RunSwarm, SetSwarmSpeed, StopSwarm, SwarmCommand
from agentrooms.projections import queries
from agentrooms.projections.read_rows import RoomRow, SwarmRow

router = APIRouter(route_class=StrictRoute, tags=["swarms"])

OfRoom = Annotated[str | None, Query(alias="roomId", pattern=ID_PATTERN, max_length=ID_CHARACTERS_MAX)]
_LINE = '{"chain":"room_lg4yq2x7mk3ve","hash":"%s","redacted":true,"seq":7}\n' % ("9f" * 32)
EXPORTED: dict[str, Any] = {
    "description": "A file: lines of the log, a table, or the archive's folder",
    "content": {
        NDJSON: {"schema": {"type": "string"}, "example": _LINE},
        "text/csv": {"schema": {"type": "string"}, "example": 'room,deal\n"room_lg4yq2x7mk3ve","deal_k3vq5x2ryw7la"\n'},
        "application/zip": {"schema": {"type": "string", "format": "binary"}},
    },
}


@router.post(
    "/swarms/spawn",
    operation_id="spawnSwarm",
    summary="Spawn a swarm",
    status_code=201,
    responses=problems(404),
)
def spawn_swarm(home: HomeDep, principal: SignedIn, command: CommandId, body: SpawnSwarmAsked) -> SwarmAnswer:
    """Start a swarm in a room, or in one of its own. Its agents have mock wallets; one steers it oneself."""
    if body.room_id is not None:
        room = body.room_id
        home.reads.run(lambda read: queries.room(read, room))
    home.limits.require(f"swarms:{principal.user}", home.settings.spawns_per_hour, HOUR_S, "swarms")
    answer = home.asking.ask(
        RunSwarm(
            id=command,
            room=body.room_id,
            preset=body.preset,
            buyers=body.buyers,
            sellers=body.sellers,
            seed=body.seed,
            speed=body.speed,
            owner=principal.wallet,
        )
    )
    return _answer(home, answer.swarm)


@router.get("/swarms", operation_id="listSwarms", summary="List swarms")
def list_swarms(home: HomeDep, room_id: OfRoom = None, cursor: Cursor = None, limit: Limit = PAGE) -> SwarmsPage:
    """Swarms by id, all or those of a room."""
    after = text_key(cursor)
    rows = home.reads.run(lambda read: queries.swarms(read, room=room_id, after=after, limit=limit + 1))
    shown, following = page_of(rows, limit, lambda row: row.swarm)
    bodies = tuple(SwarmBody.model_validate(swarm_fields(row)) for row in shown)
    return SwarmsPage(swarms=bodies, next_cursor=following)


@router.get("/swarms/{id}", operation_id="getSwarm", summary="Get a swarm", responses=problems(404))
def get_swarm(home: HomeDep, id: PathId) -> SwarmAnswer:
    """One swarm with its agents and what they did."""
    return _answer(home, id)


@router.patch("/swarms/{id}", operation_id="steerSwarm", summary="Steer a swarm", responses=problems(403, 404))
def steer_swarm(
    home: HomeDep, principal: SignedIn, id: PathId, command: CommandId, body: SteerSwarmAsked
) -> SwarmAnswer:
    """Pause, resume, stop a swarm of one's own, or set its pace. Stopping waits for deals that bind its agents."""
    swarm = home.reads.run(lambda read: queries.swarm(read, id))
    require_own(principal, frozenset({swarm.user_id}), "the swarm")
    home.asking.ask(_steering(id, command, body))
    return _answer(home, id)


@router.get(
    "/swarms/{id}/analytics", operation_id="getSwarmAnalytics", summary="Get what a swarm did", responses=problems(404)
)
def get_swarm_analytics(home: HomeDep, id: PathId) -> AnalyticsAnswer:
    """A swarm's deals, times, prices and rates."""
    row = home.reads.run(lambda read: queries.swarm_analytics(read, id))
    return AnalyticsAnswer(swarm_id=id, room_id=row.room, status=row.status, analytics=swarm_figures(row))


@router.get(
    "/swarms/{id}/export",
    operation_id="exportSwarm",
    summary="Export what a swarm did",
    response_class=StreamingResponse,
    responses={200: EXPORTED, **problems(404, 413)},
)
def export_swarm(
    home: HomeDep,
    _principal: SignedIn,
    id: PathId,
    format: Annotated[
        Literal["ndjson", "csv", "zip"],
        Query(description="Lines of its room's log; one table; or the room's sealed archive for `agentrooms verify`"),
    ] = "ndjson",
    table: Annotated[Table, Query(description="With format csv")] = "deals",
) -> StreamingResponse:
    """What a swarm's room has in the log, or its tables, as a file. No limit and no reason is in it."""
    swarm, room = home.reads.run(lambda read: _with_room(read, id))
    made: Iterator[bytes]
    match format:
        case "ndjson":
            made, kind, name = lines_of(home, room.room), NDJSON, f"{room.room}.ndjson"
        case "csv":
            made, kind, name = table_of(home, swarm, table), "text/csv", f"{id}-{table}.csv"
        case "zip":
            made, kind, name = archive_of(home, room), "application/zip", f"{room.room}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(made, media_type=kind, headers=headers)


def _with_room(read: queries.Connection, id: str) -> tuple[SwarmRow, RoomRow]:
    swarm = queries.swarm(read, id)
    return swarm, queries.room(read, swarm.room)


def _steering(swarm: str, command: str, body: SteerSwarmAsked) -> SwarmCommand:
    match body.action:
        case "pause":
            return PauseSwarm(id=command, swarm=swarm)
        case "resume":
            return ResumeSwarm(id=command, swarm=swarm)
        case "stop":
            return StopSwarm(id=command, swarm=swarm)
        case "speed":
            assert body.speed is not None
            return SetSwarmSpeed(id=command, swarm=swarm, speed=body.speed)


def _answer(home: Home, id: str) -> SwarmAnswer:
    def read(connection: queries.Connection) -> SwarmAnswer:
        row = queries.swarm(connection, id)
        agents = queries.agents(connection, swarm=id, limit=queries.PAGE_MAX)
        figures = queries.swarm_analytics(connection, id)
        fields = {
            **swarm_fields(row),
            "agents": tuple(map(agent_body, agents)),
            "deals_completed": figures.deals_completed,
            "analytics": swarm_figures(figures),
        }
        return SwarmAnswer(swarm=SwarmDetail.model_validate(fields))

    return home.reads.run(read)
