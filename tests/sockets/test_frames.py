"""Every event of a room has its one frame, with the PRD's fields, exact money and nothing private."""

from __future__ import annotations

import json
import re
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.api.frames import NoFrame, frame_of
from agentrooms.api.models.frames import AnyEventFrame
from agentrooms.api.models.room_state import room_state
from agentrooms.domain.agent import AgentPaused, AgentReconfigured, AgentResumed
from agentrooms.domain.deal import (
    Annex,
    DealFailed,
    DealLocked,
    Decision,
    FailReason,
    Misbehaviour,
    VerifierAccused,
    Vote,
)
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.room import PersonSpoke, Room
from agentrooms.domain.swarm import SwarmPaused
from agentrooms.domain.terms import StrategyName, Style
from agentrooms.events.catalogue import BY_TYPE, CATALOGUE
from agentrooms.events.record import Recorded
from agentrooms.projections.example import example_log

ROOMLESS = ("collection.", "ledger.", "swarm.", "user.", "verifiers.", "wallet.")  # of the platform's chain
LOG = example_log()[0]
ROOM = fold(Room(), (one.event for one in LOG))
VOTE = Vote(Annex(0, 1, (), "00"), "", Decision.REJECT, "00", "verifier_3")
OTHERS: tuple[Event, ...] = (
    AgentPaused("agent_cy", 3),
    AgentResumed("agent_cy", 3),
    AgentReconfigured(
        agent="agent_cy", mandate_hash="m", round=3, strategy=StrategyName.SNIPER, style=Style.AGGRESSIVE
    ),
    PersonSpoke(3, "hello", "user_1", "0x" + "1" * 40),
    DealFailed(("agent_bo",), "deal_bo_eve", "seller is not the owner", FailReason.REJECTED, 9),
    VerifierAccused("deal_bo_eve", Misbehaviour(kind="two_decisions", verifier="verifier_3", votes=(VOTE,)), 9),
)


def _recorded(event: Event) -> Recorded:
    return Recorded(ROOM.id, 9, 1_609_459_203_007, "c", BY_TYPE[type(event)].name, (), event, "", b"")


def _frames(type_: str) -> list[dict[str, object]]:
    every = [*LOG, *map(_recorded, OTHERS)]
    found = [json.loads(frame_of(one, ROOM).model_dump_json()) for one in every]
    return [frame for frame in found if frame["type"] == type_]


def test_every_event_of_a_room_has_a_frame_and_every_frame_an_event() -> None:
    of_rooms = {entry.name for entry in CATALOGUE if not entry.name.startswith(ROOMLESS)}
    every = [*LOG, *map(_recorded, OTHERS)]
    assert {one.type for one in every} == of_rooms
    made = {frame_of(one, ROOM).type for one in every}
    assert made == {get_args(frame.model_fields["type"].annotation)[0] for frame in get_args(AnyEventFrame)}


def test_an_event_of_no_room_has_none() -> None:
    with pytest.raises(NoFrame, match=r"swarm\.paused"):
        frame_of(_recorded(SwarmPaused("swarm_1")), ROOM)


def test_a_frame_is_the_same_whatever_has_happened_since() -> None:
    room = Room()
    for one in LOG:
        room = fold(room, (one.event,))
        assert frame_of(one, room) == frame_of(one, ROOM)


def test_numbers_are_dense_and_logs_are_told_apart() -> None:
    frames = [frame_of(one, ROOM) for one in LOG]
    assert [frame.seq for frame in frames] == list(range(1, len(LOG) + 1))
    assert len({frame.log_id for frame in frames}) == 1
    assert re.fullmatch(r"[0-9a-f]{12}", frames[0].log_id)


def test_the_fields_of_the_prd() -> None:
    message = _frames("agent_message")[2]
    assert message["agent"] == {"id": "agent_eve", "name": "Eve", "avatar": "🙂", "role": "seller"}
    assert (message["message"], message["timestamp"]) == ("Mine is yours for 80.00.", "2021-01-01T00:00:03.000Z")
    assert (message["price"], message["priceMicros"], message["act"]) == (80, "80000000", "offer")
    locked = _frames("deal_locked")[0]
    assert {"dealId", "buyerAgent", "sellerAgent", "nft", "price"} <= locked.keys()
    assert (locked["price"], locked["priceMicros"]) == (85, "85000000")
    completed = _frames("deal_completed")[0]
    assert {"dealId", "txHash", "buyer", "seller", "nft", "price"} <= completed.keys()
    assert [left["reason"] for left in _frames("agent_left")][:2] == ["bought_nft", "sold_nft"]
    assert _frames("agent_joined")[0]["agent"]["role"] == "buyer"  # type: ignore[index]


def test_a_private_event_goes_out_without_a_body() -> None:
    assert all(frame.keys() == {"type", "roomId", "logId", "seq", "ts", "v"} for frame in _frames("private"))


@given(st.integers(1, 10_000_000_000))
def test_prices_are_exact(cents: int) -> None:
    locked = next(one for one in LOG if isinstance(one.event, DealLocked))
    assert isinstance(locked.event, DealLocked)
    terms = msgspec.structs.replace(locked.event.terms, price_usdc_micros=cents * 10_000)
    frame = frame_of(msgspec.structs.replace(locked, event=DealLocked("", 5, terms)), ROOM)
    price = re.search(r'"price":([^,]+),', frame.model_dump_json())
    assert price is not None
    whole, _, rest = price[1].partition(".")
    assert len(rest) <= 2
    assert int(whole + rest.ljust(2, "0")) == cents


def test_a_snapshot_holds_who_is_present_and_what_stands() -> None:
    room = fold(Room(), (one.event for one in LOG[:12]))
    state = room_state(room, 12)
    assert {agent.id for agent in state.agents} == set(room.agents)
    assert [quote.id for quote in (*state.asks, *state.bids)] == [
        q for q in ("quote_eve_3", "quote_dee_2", "quote_ada_2", "quote_cy_3") if q in room.quotes
    ]
    assert room_state(ROOM, len(LOG)).agents == ()
    assert {deal.status for deal in room_state(ROOM, len(LOG)).deals} == {"completed"}
