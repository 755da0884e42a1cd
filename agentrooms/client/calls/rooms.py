"""Rooms."""

from __future__ import annotations

from agentrooms.api.models.history import RoomHistoryPage
from agentrooms.api.models.room_state import RoomState
from agentrooms.api.models.rooms import EventsPage, RoomAnswer, RoomsPage, Said, StatsAnswer
from agentrooms.client.call import Call, at, get, write


def list_rooms(
    *, collection: str | None = None, status: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[RoomsPage]:
    """Lists rooms by id."""
    return get("/rooms", RoomsPage, collection=collection, status=status, cursor=cursor, limit=limit)


def open_room(
    name: str,
    *,
    collection: str | None = None,
    collection_name: str | None = None,
    round_ms: int | None = None,
    quote_rounds: int | None = None,
) -> Call[RoomAnswer]:
    """Opens a room; for admins."""
    return write(
        "POST",
        "/rooms",
        RoomAnswer,
        name=name,
        collection=collection,
        collection_name=collection_name,
        round_ms=round_ms,
        quote_rounds=quote_rounds,
    )


def get_room(room: str) -> Call[RoomAnswer]:
    """Gets a room."""
    return get(at("rooms", room), RoomAnswer)


def close_room(room: str) -> Call[RoomAnswer]:
    """Closes a room; for admins."""
    return write("PATCH", at("rooms", room), RoomAnswer, action="close")


def get_room_stats(room: str) -> Call[StatsAnswer]:
    """Gets a room's figures."""
    return get(at("rooms", room, "stats"), StatsAnswer)


def get_room_history(room: str, *, after: str | None = None, limit: int | None = None) -> Call[RoomHistoryPage]:
    """Gets a room's figures as they changed, every five minutes at most, after a time such as a point's `at`."""
    return get(at("rooms", room, "history"), RoomHistoryPage, after=after, limit=limit)


def list_room_events(room: str, *, after: int = 0, limit: int | None = None) -> Call[EventsPage]:
    """Lists a room's events as frames, after an event's number."""
    return get(at("rooms", room, "events"), EventsPage, after=after, limit=limit)


def get_room_state(room: str, *, at_seq: int | None = None) -> Call[RoomState]:
    """Gets a room as it was after one of its events, or as it is."""
    return get(at("rooms", room, "state"), RoomState, at=at_seq)


def send_message(room: str, message: str) -> Call[Said]:
    """Says something in a room: words only, for people."""
    return write("POST", at("rooms", room, "messages"), Said, message=message)
