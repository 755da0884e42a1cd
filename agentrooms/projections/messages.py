"""Messages: everything said in a room, one row an act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from agentrooms.domain.room import ActPosted, Room
from agentrooms.domain.terms import ActKind, Mood, Role
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import MILLISECONDS, ROUND, USDC_MICROS, Note, Table
from agentrooms.projections.walk import Rooms


class MessageRow(msgspec.Struct, frozen=True):
    """One act with its words."""

    room: Annotated[str, Note("room id")]
    event: Annotated[int, Note("place in the log, from 1; `run.at(event)` is the room just after it", "events")]
    seq: Annotated[int, Note("place in the room, from 1; readers of a live room see the same number", "events")]
    round: Annotated[int, Note("round in which it took effect", ROUND)]
    at_ms: Annotated[int, Note("time of that round", MILLISECONDS)]
    agent: Annotated[str, Note("id of the agent that spoke")]
    name: Annotated[str, Note("its name")]
    role: Annotated[Role, Note("buyer or seller")]
    act: Annotated[ActKind, Note("offer, counter, accept, reject, comment, withdraw or leave")]
    price_usdc_micros: Annotated[
        int | None, Note("price offered, countered or accepted", USDC_MICROS, "the act has no price")
    ]
    quote: Annotated[str | None, Note("quote that the act makes or withdraws", null="neither")]
    refers_to: Annotated[str | None, Note("quote of the other side that the act answers", null="it answers none")]
    to: Annotated[str | None, Note("id of the agent spoken to", null="spoken to the whole room")]
    token_id: Annotated[str | None, Note("item the act is about", null="no certain item")]
    mood: Annotated[Mood, Note("mood in which it was worded")]
    wording: Annotated[
        str, Note("who worded it: scripted, model, or fallback (scripted, where a model failed or broke a rule)")
    ]
    text: Annotated[str, Note("the words, as shown in the room")]


def rows(events: Iterable[Recorded]) -> list[MessageRow]:
    """Returns one row for each act posted, in the log's order."""
    found, rooms = [], Rooms()
    for number, recorded in enumerate(events, start=1):
        rooms.apply(number, recorded)
        event = recorded.event
        if isinstance(event, ActPosted):
            found.append(message_row(rooms.get(recorded.chain), number, recorded, event))
    return found


def message_row(room: Room, number: int, recorded: Recorded, event: ActPosted) -> MessageRow:
    """Returns the row of one act, event `number` of the log."""
    agent = room.agents[event.agent]
    return MessageRow(
        room=recorded.chain,
        event=number,
        seq=recorded.seq,
        round=event.round,
        at_ms=recorded.at_ms,
        agent=agent.id,
        name=agent.name,
        role=agent.role,
        act=event.act,
        price_usdc_micros=event.price_usdc_micros,
        quote=event.quote,
        refers_to=event.refers_to,
        to=event.to,
        token_id=event.token_id,
        mood=event.mood,
        wording=event.wording,
        text=event.text,
    )


TABLE = Table("messages", "Everything said: one row for each act that took effect, with its words.", MessageRow, rows)
