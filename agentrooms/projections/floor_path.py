"""The floor path: floor and top bid of a room after each event that moved one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from agentrooms.domain.room import Room
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import MILLISECONDS, ROUND, USDC_MICROS, Note, Table
from agentrooms.projections.walk import Rooms, round_of


class FloorRow(msgspec.Struct, frozen=True):
    """Floor and top bid from one event on."""

    room: Annotated[str, Note("room id")]
    event: Annotated[int, Note("place in the log of the event that moved a price, from 1", "events")]
    seq: Annotated[int, Note("the same within the room", "events")]
    round: Annotated[int, Note("its round", ROUND)]
    at_ms: Annotated[int, Note("time of that round", MILLISECONDS)]
    grade: Annotated[str, Note("class of comparable items: the collection's base grade")]
    floor_usdc_micros: Annotated[int | None, Note("lowest standing ask of the grade", USDC_MICROS, "no ask stands")]
    top_bid_usdc_micros: Annotated[
        int | None, Note("highest standing bid that an item of the grade may take", USDC_MICROS, "no bid stands")
    ]
    spread_usdc_micros: Annotated[
        int | None, Note("floor minus top bid; below zero when crossed", USDC_MICROS, "one of the two is missing")
    ]


def rows(events: Iterable[Recorded]) -> list[FloorRow]:
    """Returns one row for each event after which floor or top bid is another."""
    rooms = Rooms()
    last: dict[str, tuple[int | None, int | None]] = {}
    found = []
    for number, recorded in enumerate(events, start=1):
        rooms.apply(number, recorded)
        room = rooms.get(recorded.chain)
        prices = (room.floor, room.top_bid)
        if prices == last.get(recorded.chain, (None, None)):
            continue
        last[recorded.chain] = prices
        found.append(floor_row(room, number, recorded))
    return found


def floor_row(room: Room, number: int, recorded: Recorded) -> FloorRow:
    """Returns floor and top bid of a room as event `number` of the log left them."""
    floor, top_bid = room.floor, room.top_bid
    return FloorRow(
        room=recorded.chain,
        event=number,
        seq=recorded.seq,
        round=round_of(recorded.event),
        at_ms=recorded.at_ms,
        grade=room.base_grade,
        floor_usdc_micros=floor,
        top_bid_usdc_micros=top_bid,
        spread_usdc_micros=None if floor is None or top_bid is None else floor - top_bid,
    )


TABLE = Table(
    "floor_path", "Floor and top bid of the base grade, after each event that moved one of them.", FloorRow, rows
)
