"""Rooms as they go out, and what is asked of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentrooms.api.models.base import TEXT_MAX, Asked, Micros, Plain, Time, Usdc, Wire, iso, money
from agentrooms.api.models.deals import DealBody
from agentrooms.api.models.frames import RoomFrame
from agentrooms.domain.collection import NAME_CHARACTERS_MAX as COLLECTION_NAME_CHARACTERS_MAX
from agentrooms.domain.room import CloseReason, RoomStatus
from agentrooms.live.commands import NAME_CHARACTERS_MAX, ROUND_MS_MIN
from agentrooms.projections.read_rows import RoomRow
from agentrooms.projections.read_views import RoomStatistics
from agentrooms.sim.settings import ROUND_MS_MAX, ROUNDS_MAX

ROOM = "room_lg4yq2x7mk3ve"  # in examples
COLLECTION = "0x5fbdb2315678afecb367f032d93f642f64180aa3"


_EVENT = {
    "type": "agent_left",
    "roomId": ROOM,
    "logId": "a3f0c2d4e5b6",
    "seq": 42,
    "ts": "2026-11-22T10:00:00.000Z",
    "v": 1,
    "agentId": "agent_4q7rx2l3vnk5e",
    "reason": "bought_nft",
}


class RoomBody(Wire):
    """One room as it is now. Prices are those of comparable items; null where nothing stands."""

    id: str = Field(examples=[ROOM])
    name: str = Field(examples=["Punks, evening"])
    collection: str = Field(description="Address of what it trades", examples=[COLLECTION])
    collection_name: str = Field(examples=["CryptoPunks"])
    status: RoomStatus
    close_reason: CloseReason | None = Field(examples=[None])
    active_agents: int = Field(examples=[5])
    active_buyers: int = Field(examples=[2])
    active_sellers: int = Field(examples=[3])
    floor_price: Usdc | None
    floor_price_micros: Micros | None
    top_bid: Usdc | None
    top_bid_micros: Micros | None
    last_price: Usdc | None
    last_price_micros: Micros | None
    deals_completed: int = Field(examples=[4])
    round: int = Field(description="Of its last public event", examples=[118])
    round_ms: int = Field(examples=[1000])
    seq: int = Field(description="Number of its last public event", examples=[233])
    opened_at: Time
    updated_at: Time


class RoomDetail(RoomBody):
    """One room with the deals that completed last."""

    recent_deals: tuple[DealBody, ...] = Field(description="At most three, the newest lock first")


class RoomAnswer(Wire):
    """One room."""

    room: RoomDetail


class RoomsPage(Wire):
    """Rooms by id."""

    rooms: tuple[RoomBody, ...]
    next_cursor: str | None = Field(examples=[None])


class RoomStats(Wire):
    """A room's market in figures. Averages are over completed deals, times in seconds of room time."""

    floor_price: Usdc | None
    floor_price_micros: Micros | None
    top_bid: Usdc | None
    top_bid_micros: Micros | None
    active_agents: int = Field(examples=[5])
    active_buyers: int = Field(examples=[2])
    active_sellers: int = Field(examples=[3])
    total_deals: int = Field(description="Deals locked so far, whatever became of them", examples=[6])
    deals_completed: int = Field(examples=[4])
    deals_failed: int = Field(examples=[1])
    success_rate: float | None = Field(description="Completed over ended deals, 0 to 1", examples=[0.8])
    avg_deal_time: float | None = Field(description="Seconds from both parties' presence to the lock", examples=[21.5])
    avg_price: float | None = Field(description="Rounded down to whole micro-USDC", examples=[47.9])
    avg_price_micros: Micros | None
    min_price: Usdc | None
    min_price_micros: Micros | None
    max_price: Usdc | None
    max_price_micros: Micros | None
    volume: Usdc
    volume_micros: Micros
    messages: int = Field(examples=[88])
    price_history: tuple[Usdc, ...] = Field(
        description="The last ten floor prices, the oldest first", examples=[[48.5]]
    )
    price_history_micros: tuple[Micros, ...] = Field(examples=[["48500000"]])


class StatsAnswer(Wire):
    """One room's figures."""

    stats: RoomStats


class EventsPage(Wire):
    """Events of a room in order."""

    events: tuple[RoomFrame, ...] = Field(examples=[[_EVENT]])
    next_after: int | None = Field(
        description="`after` of the next page; null when it is not there yet", examples=[None]
    )


class OpenRoomAsked(Asked):
    """A room to open."""

    name: Annotated[str, Plain] = Field(min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["Punks, evening"])
    collection: Annotated[str, Plain] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="An ERC-721 contract's address, or the demo's name; the demo's by default",
        examples=["CryptoPunks"],
    )
    collection_name: Annotated[str, Plain] | None = Field(
        default=None,
        min_length=1,
        max_length=COLLECTION_NAME_CHARACTERS_MAX,
        description="What a collection is called that no room has traded before",
    )
    round_ms: int = Field(default=1_000, ge=ROUND_MS_MIN, le=ROUND_MS_MAX, strict=True, examples=[1_000])
    quote_rounds: int = Field(default=60, ge=1, le=ROUNDS_MAX, strict=True, description="How long a quote stands")


class CloseRoomAsked(Asked):
    """What to do with a room."""

    action: Literal["close"]


class SayAsked(Asked):
    """What to say in a room. Words only: no text makes or takes an offer."""

    message: Annotated[str, Plain] = Field(min_length=1, max_length=TEXT_MAX, examples=["Good evening."])


class Said(Wire):
    """It is said."""

    room_id: str = Field(examples=[ROOM])
    user_id: str = Field(examples=["user_m2c5rk7xq3zvy"])
    message: str = Field(examples=["Good evening."])


def room_fields(row: RoomRow, collection_name: str) -> dict[str, object]:
    """Returns the fields of a room."""
    return {
        "id": row.room,
        "name": row.name,
        "collection": row.collection,
        "collection_name": collection_name,
        "status": row.status,
        "close_reason": row.close_reason,
        "active_agents": row.active_agents,
        "active_buyers": row.active_buyers,
        "active_sellers": row.active_sellers,
        **money("floor_price", row.floor_usdc_micros),
        **money("top_bid", row.top_bid_usdc_micros),
        **money("last_price", row.last_price_usdc_micros),
        "deals_completed": row.deals_completed,
        "round": row.round,
        "round_ms": row.round_ms,
        "seq": row.seq,
        "opened_at": iso(row.started_at_ms),
        "updated_at": iso(row.updated_at_ms),
    }


def stats_of(row: RoomStatistics, floors: list[int]) -> RoomStats:
    """Returns a room's figures with its last floors."""
    return RoomStats.model_validate(
        {
            **money("floor_price", row.floor_usdc_micros),
            **money("top_bid", row.top_bid_usdc_micros),
            "active_agents": row.active_agents,
            "active_buyers": row.active_buyers,
            "active_sellers": row.active_sellers,
            "total_deals": row.deals,
            "deals_completed": row.deals_completed,
            "deals_failed": row.deals_failed,
            "success_rate": rate(row.success_permille),
            "avg_deal_time": seconds(row.avg_time_to_deal_ms),
            **money("avg_price", row.avg_price_usdc_micros),
            **money("min_price", row.min_price_usdc_micros),
            **money("max_price", row.max_price_usdc_micros),
            **money("volume", row.volume_usdc_micros),
            "messages": row.messages,
            "price_history": tuple(money("floor", floor)["floor"] for floor in floors),
            "price_history_micros": tuple(str(floor) for floor in floors),
        }
    )


def rate(permille: int | None) -> float | None:
    """Returns a share of a thousand as one of 1."""
    return None if permille is None else permille / 1_000


def seconds(ms: int | None) -> float | None:
    """Returns milliseconds as seconds."""
    return None if ms is None else ms / 1_000
