"""Rooms: where trading happens. Anybody may read them; admins open and close them; who is signed in may speak."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from agentrooms.api.auth.principal import Admin, SignedIn
from agentrooms.api.collections import address_of, names_of, require_erc721
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.models.base import PAGE, problems
from agentrooms.api.models.deals import deal_body
from agentrooms.api.models.room_state import RoomState
from agentrooms.api.models.rooms import (
    CloseRoomAsked,
    EventsPage,
    OpenRoomAsked,
    RoomAnswer,
    RoomBody,
    RoomDetail,
    RoomsPage,
    Said,
    SayAsked,
    StatsAnswer,
    room_fields,
    stats_of,
)
from agentrooms.api.reading import Cursor, Limit, etagged, text_key
from agentrooms.api.routes.common import NDJSON, CommandId, PathId, page_of
from agentrooms.api.sockets.reading import frames_after, state_at
from agentrooms.api.strict import StrictRoute
from agentrooms.domain.eip712 import is_address
from agentrooms.domain.room import RoomStatus
from agentrooms.live.commands import CloseRoom, OpenRoom, Speak
from agentrooms.projections import queries
from agentrooms.projections.read_rows import ReadAgent, ReadDeal, RoomRow

router = APIRouter(route_class=StrictRoute, tags=["rooms"])

RECENT_DEALS = 3
EVENTS_MAX = 1_000  # of one page
EVENTS = 100

LINES: dict[str, Any] = {
    "content": {NDJSON: {"schema": {"type": "string"}, "example": '{"type":"room_closed","seq":42, …}\n'}}
}

After = Annotated[int, Query(ge=0, le=10**12, description="Number of the last event one has; 0 for all")]


@router.get("/rooms", operation_id="listRooms", summary="List rooms")
def list_rooms(
    home: HomeDep,
    collection: Annotated[str | None, Query(pattern=r"^[ -~]{1,100}$", description="Address or name")] = None,
    status: RoomStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> RoomsPage:
    """Rooms by id, all or those of a collection or a status."""
    wanted = None if collection is None else address_of(home, collection)
    after = text_key(cursor)
    rows = home.reads.run(
        lambda read: queries.rooms(read, collection=wanted, status=status, after=after, limit=limit + 1)
    )
    shown, following = page_of(rows, limit, lambda row: row.room)
    names = names_of(home, (row.collection for row in shown))
    rooms = tuple(RoomBody.model_validate(room_fields(row, names[row.collection])) for row in shown)
    return RoomsPage(rooms=rooms, next_cursor=following)


@router.get(
    "/rooms/{id}",
    operation_id="getRoom",
    summary="Get a room",
    response_model=RoomAnswer,
    responses=problems(404) | {304: {"description": "It is as the ETag says"}},
)
def get_room(home: HomeDep, id: PathId, request: Request, response: Response) -> RoomAnswer | Response:
    """One room with the three deals that completed last. With `If-None-Match`, 304 while it has not changed."""
    found = _answer(home, id)
    if etagged(request, response, found.model_dump_json()):
        return Response(status_code=304, headers=dict(response.headers))
    return found


@router.post(
    "/rooms",
    operation_id="openRoom",
    summary="Open a room",
    status_code=201,
)
def open_room(home: HomeDep, _admin: Admin, id: CommandId, body: OpenRoomAsked) -> RoomAnswer:
    """Open a room for a collection: the demo's, or any ERC-721 contract on the chain. For admins."""
    collection = home.site.collection if body.collection is None else address_of(home, body.collection)
    called = body.collection_name
    if collection != home.site.collection and is_address(collection):
        require_erc721(home.holdings, collection)
        called = called or home.holdings.name(collection) or None
    answer = home.asking.ask(
        OpenRoom(
            id=id,
            name=body.name,
            collection=collection,
            collection_name=called,
            round_ms=body.round_ms,
            quote_rounds=body.quote_rounds,
        )
    )
    return _answer(home, answer.room)


@router.patch(
    "/rooms/{id}",
    operation_id="closeRoom",
    summary="Close a room",
    responses=problems(404),
)
def close_room(home: HomeDep, _admin: Admin, id: PathId, command: CommandId, _body: CloseRoomAsked) -> RoomAnswer:
    """Close a room: its agents leave, at once or when their deals have ended. For admins."""
    home.reads.run(lambda read: queries.room(read, id))
    home.asking.ask(CloseRoom(id=command, room=id))
    return _answer(home, id)


@router.get("/rooms/{id}/stats", operation_id="getRoomStats", summary="Get a room's figures", responses=problems(404))
def get_room_stats(home: HomeDep, id: PathId) -> StatsAnswer:
    """The market of a room in figures, with its last ten floor prices."""
    row, floors = home.reads.run(lambda read: (queries.statistics(read, id), queries.recent_floors(read, id)))
    return StatsAnswer(stats=stats_of(row, floors))


@router.get(
    "/rooms/{id}/events",
    operation_id="listRoomEvents",
    summary="List a room's events",
    response_model=EventsPage,
    responses={200: LINES, **problems(404)},
)
def list_room_events(
    home: HomeDep,
    id: PathId,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=EVENTS_MAX)] = EVENTS,
    format: Annotated[Literal["json", "ndjson"], Query(description="One document, or one line an event")] = "json",
) -> Response:
    """What happened in a room, as frames of the sockets, without gaps. A private event has no body."""
    frames = frames_after(home.store, id, after, limit)
    lines = [frame.model_dump_json() for frame in frames]
    if format == "ndjson":
        return Response("".join(f"{line}\n" for line in lines), media_type=NDJSON)
    following = frames[-1].seq if len(frames) == limit else "null"
    page = f'{{"events":[{",".join(lines)}],"nextAfter":{following}}}'  # FastAPI would check each frame once more
    return Response(page, media_type="application/json")


@router.get("/rooms/{id}/state", operation_id="getRoomState", summary="Get a room at a moment", responses=problems(404))
def get_room_state(
    home: HomeDep,
    id: PathId,
    at: Annotated[int | None, Query(ge=1, le=10**12, description="Number of an event; the last one by default")] = None,
) -> RoomState:
    """A room as it was just after one of its events: who was there, what was asked and bid, which deals were on."""
    return state_at(home.store, id, at)


@router.post(
    "/rooms/{id}/messages",
    operation_id="sendMessage",
    summary="Speak in a room",
    status_code=201,
    responses=problems(404),
)
def send_message(home: HomeDep, principal: SignedIn, id: PathId, command: CommandId, body: SayAsked) -> Said:
    """Say something in a room. Words only: agents do not listen, and no text makes an offer."""
    home.reads.run(lambda read: queries.room(read, id))
    home.asking.ask(Speak(id=command, room=id, wallet=principal.wallet, text=body.message))
    return Said(room_id=id, user_id=principal.user, message=body.message)


def _with_deals(read: queries.Connection, id: str) -> tuple[RoomRow, list[ReadDeal], dict[str, ReadAgent]]:
    deals = queries.deals(read, room=id, status="completed", limit=RECENT_DEALS)
    return queries.room(read, id), deals, queries.parties(read, deals)


def _answer(home: Home, id: str) -> RoomAnswer:
    row, deals, agents = home.reads.run(lambda read: _with_deals(read, id))
    name = names_of(home, [row.collection])[row.collection]
    recent = tuple(deal_body(deal, agents) for deal in deals)
    return RoomAnswer(room=RoomDetail.model_validate({**room_fields(row, name), "recent_deals": recent}))
