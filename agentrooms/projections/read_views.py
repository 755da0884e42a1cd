"""The views of the read schema, and what queries answer beside plain rows: figures that SQL counts from the tables.

Shares are whole permille, averages are cut to whole numbers. Savings and earnings compare the price of a completed
deal with the floor of the item's grade just before its lock; a deal without such a floor counts for neither.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agentrooms.domain.swarm import SwarmStatus
from agentrooms.domain.terms import Role
from agentrooms.projections.read_rows import ReadDeal, VoteRow
from agentrooms.projections.schema import MILLISECONDS, ROUND, USDC_MICROS, Note

PERMILLE = "permille"
NO_DEAL = "no deal completed"
NO_FLOOR = "no deal completed that had a floor"
ENDED = "no deal has ended"


class AgentPerformance(msgspec.Struct, frozen=True):
    """How well one agent did."""

    agent: Annotated[str, Note("agent id")]
    room: Annotated[str, Note("room id")]
    role: Annotated[Role, Note("buyer or seller")]
    deals_completed: Annotated[int, Note("deals of its that completed", "deals")]
    deals_failed: Annotated[int, Note("deals of its that failed", "deals")]
    best_deal_permille: Annotated[
        int | None, Note("most by which a price was better than the floor, over the floor", PERMILLE, NO_FLOOR)
    ]
    savings_usdc_micros: Annotated[int | None, Note("floors minus prices paid", USDC_MICROS, "a seller")]
    earnings_usdc_micros: Annotated[int | None, Note("prices got minus floors", USDC_MICROS, "a buyer")]
    avg_negotiation_ms: Annotated[int | None, Note("from its joining to the lock of a completed deal", "ms", NO_DEAL)]
    messages: Annotated[int, Note("acts it posted", "messages")]


class SwarmAnalytics(msgspec.Struct, frozen=True):
    """What a swarm's agents did together."""

    swarm: Annotated[str, Note("swarm id")]
    room: Annotated[str, Note("room id")]
    status: Annotated[SwarmStatus, Note("running, paused or completed")]
    total_agents: Annotated[int, Note("agents it was given", "agents")]
    joined: Annotated[int, Note("agents that have joined", "agents")]
    present: Annotated[int, Note("agents in the room now", "agents")]
    messages: Annotated[int, Note("acts they posted", "messages")]
    deals: Annotated[int, Note("deals with one of them that were locked", "deals")]
    deals_completed: Annotated[int, Note("those that completed", "deals")]
    deals_failed: Annotated[int, Note("those that failed", "deals")]
    success_permille: Annotated[int | None, Note("completed deals over those that have ended", PERMILLE, ENDED)]
    deal_rate_permille: Annotated[
        int | None, Note("completed deals over the agents of its smaller side", PERMILLE, "a side is empty")
    ]
    avg_time_to_deal_ms: Annotated[
        int | None, Note("from both parties' presence to the lock, of completed deals", "ms", NO_DEAL)
    ]
    volume_usdc_micros: Annotated[int, Note("sum of the prices of completed deals", USDC_MICROS)]
    avg_price_usdc_micros: Annotated[int | None, Note("mean of them", USDC_MICROS, NO_DEAL)]
    avg_over_floor_permille: Annotated[
        int | None, Note("mean of price over floor, minus the floor", PERMILLE, NO_FLOOR)
    ]
    savings_usdc_micros: Annotated[int, Note("floors minus prices its buyers paid", USDC_MICROS)]
    earnings_usdc_micros: Annotated[int, Note("prices its sellers got minus floors", USDC_MICROS)]


class RoomStatistics(msgspec.Struct, frozen=True):
    """One room's market in figures."""

    room: Annotated[str, Note("room id")]
    floor_usdc_micros: Annotated[int | None, Note("lowest ask now", USDC_MICROS, "no ask stands")]
    top_bid_usdc_micros: Annotated[int | None, Note("highest bid now", USDC_MICROS, "no bid stands")]
    active_agents: Annotated[int, Note("agents present", "agents")]
    active_buyers: Annotated[int, Note("buyers among them", "agents")]
    active_sellers: Annotated[int, Note("sellers among them", "agents")]
    messages: Annotated[int, Note("acts posted", "messages")]
    deals: Annotated[int, Note("deals locked so far", "deals")]
    deals_completed: Annotated[int, Note("those that completed", "deals")]
    deals_failed: Annotated[int, Note("those that failed", "deals")]
    success_permille: Annotated[int | None, Note("completed deals over those that have ended", PERMILLE, ENDED)]
    volume_usdc_micros: Annotated[int, Note("sum of the prices of completed deals", USDC_MICROS)]
    last_price_usdc_micros: Annotated[int | None, Note("price of the deal completed last", USDC_MICROS, NO_DEAL)]
    avg_time_to_deal_ms: Annotated[
        int | None, Note("from both parties' presence to the lock, of completed deals", "ms", NO_DEAL)
    ]
    avg_price_usdc_micros: Annotated[int | None, Note("mean price of completed deals", USDC_MICROS, NO_DEAL)]
    min_price_usdc_micros: Annotated[int | None, Note("lowest of them", USDC_MICROS, NO_DEAL)]
    max_price_usdc_micros: Annotated[int | None, Note("highest of them", USDC_MICROS, NO_DEAL)]
    avg_over_floor_permille: Annotated[
        int | None, Note("mean of price over floor, minus the floor", PERMILLE, NO_FLOOR)
    ]


class Performance(msgspec.Struct, frozen=True):
    """How well all agents, or those of one user, did together."""

    agents: Annotated[int, Note("agents", "agents")]
    active_agents: Annotated[int, Note("those present in a room", "agents")]
    messages: Annotated[int, Note("acts they posted", "messages")]
    agents_with_deal: Annotated[int, Note("those that completed a deal", "agents")]
    avg_negotiation_ms: Annotated[int | None, Note("mean of theirs", "ms", NO_DEAL)]
    best_deal_permille: Annotated[int | None, Note("best of theirs", PERMILLE, NO_FLOOR)]
    savings_usdc_micros: Annotated[int, Note("of the buyers among them", USDC_MICROS)]
    earnings_usdc_micros: Annotated[int, Note("of the sellers among them", USDC_MICROS)]


class Turnover(msgspec.Struct, frozen=True):
    """What a user's completed deals came to."""

    bought: Annotated[int, Note("items bought", "deals")]
    sold: Annotated[int, Note("items sold", "deals")]
    paid_usdc_micros: Annotated[int, Note("prices paid", USDC_MICROS)]
    got_usdc_micros: Annotated[int, Note("prices got", USDC_MICROS)]


class PricePoint(msgspec.Struct, frozen=True):
    """A moment in a room's price history: floor and top bid moved, or a deal was locked."""

    seq: Annotated[int, Note("number within the room", "events")]
    round: Annotated[int, Note("its round", ROUND)]
    at_ms: Annotated[int, Note("its time", MILLISECONDS)]
    floor_usdc_micros: Annotated[int | None, Note("floor (for a deal: of its grade, before)", USDC_MICROS, "no ask")]
    top_bid_usdc_micros: Annotated[int | None, Note("top bid (the same)", USDC_MICROS, "no bid")]
    deal: Annotated[str | None, Note("deal id", null="a price moved, no deal")]
    price_usdc_micros: Annotated[int | None, Note("its price", USDC_MICROS, "a price moved, no deal")]


class DealEvidence(msgspec.Struct, frozen=True):
    """A deal and what proves it: transaction and block are in the deal's row."""

    deal: ReadDeal
    votes: tuple[VoteRow, ...]


class Lag(msgspec.Struct, frozen=True):
    """How far the tables are behind the log, in events; `failure` says why they stand."""

    position: int
    head: int
    epoch: int
    failed_position: int | None
    failure: str | None

    @property
    def events(self) -> int:
        """How many events are not in the tables yet."""
        return max(0, self.head - self.position)


VIEWS: dict[str, type[msgspec.Struct]] = {
    "agent_performance": AgentPerformance,
    "swarm_analytics": SwarmAnalytics,
    "room_statistics": RoomStatistics,
}
"""The row type of each view."""
