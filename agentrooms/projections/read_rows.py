"""The tables of the read schema: their row types, keys and meanings. Migrations make them, docs/read-models.md lists them.

Rows that archives have, too, are the same types with more columns. No column holds a mandate's limit,
start price or maximum, nor why an act was decided: those are for owners alone.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agentrooms.domain.deal import Decision
from agentrooms.domain.room import CloseReason, RoomStatus
from agentrooms.domain.swarm import SwarmStatus
from agentrooms.projections.agents import AgentRow
from agentrooms.projections.deals import DealRow
from agentrooms.projections.floor_path import FloorRow
from agentrooms.projections.messages import MessageRow
from agentrooms.projections.schema import MILLISECONDS, ROUND, USDC_MICROS, Note

Text = str | None


class UserRow(msgspec.Struct, frozen=True):
    """One wallet."""

    user_id: Annotated[str, Note("user id, derived from the wallet")]
    wallet: Annotated[str, Note("its address")]
    budget_usdc_micros: Annotated[
        int | None, Note("what the platform may lock for it in all", USDC_MICROS, "none declared")
    ] = None
    registered_at_ms: Annotated[int | None, Note("when it registered", MILLISECONDS, "it did not")] = None


class NftRow(msgspec.Struct, frozen=True):
    """One item, as minted on the simulation's chain, listed or sold."""

    nft_id: Annotated[str, Note("item id, derived from collection and token id")]
    collection: Annotated[str, Note("address of its collection")]
    token_id: Annotated[str, Note("its number there")]
    name: Annotated[Text, Note("its name, as its seller's agent says", null="never for sale")] = None
    traits: Annotated[dict[str, str] | None, Note("its traits, as JSON", null="not minted or listed here")] = None
    owner: Annotated[Text, Note("wallet that minted, listed or bought it last", null="unknown")] = None
    minted_at_ms: Annotated[int | None, Note("when it was minted", MILLISECONDS, "not on this chain")] = None


class RoomRow(msgspec.Struct, frozen=True, kw_only=True):
    """One room as it is now."""

    room: Annotated[str, Note("room id")]
    name: Annotated[str, Note("its name")]
    collection: Annotated[str, Note("address of the collection it trades")]
    comparable_by: Annotated[str, Note("trait that makes items comparable; empty for none")]
    base_grade: Annotated[str, Note("grade whose floor is the headline")]
    status: Annotated[RoomStatus, Note("active or inactive")]
    close_reason: Annotated[CloseReason | None, Note("why it closed", null="it is open")]
    quote_rounds: Annotated[int, Note("how long a quote stands", "rounds")]
    round_ms: Annotated[int, Note("length of a round", "ms")]
    started_at_ms: Annotated[int, Note("time of round 0", MILLISECONDS)]
    updated_at_ms: Annotated[int, Note("time of its last public event", MILLISECONDS)]
    round: Annotated[int, Note("round of its last public event", ROUND)]
    seq: Annotated[int, Note("number of its last public event within the room", "events")]
    floor_usdc_micros: Annotated[
        int | None, Note("lowest standing ask of the base grade", USDC_MICROS, "no ask stands")
    ]
    top_bid_usdc_micros: Annotated[
        int | None, Note("highest standing bid that an item of the base grade may take", USDC_MICROS, "no bid stands")
    ]
    active_buyers: Annotated[int, Note("buyers present", "agents")]
    active_sellers: Annotated[int, Note("sellers present", "agents")]
    agents: Annotated[int, Note("agents that ever joined", "agents")]
    messages: Annotated[int, Note("acts posted", "messages")]
    deals: Annotated[int, Note("deals locked so far", "deals")]
    deals_completed: Annotated[int, Note("those that completed", "deals")]
    deals_failed: Annotated[int, Note("those that failed", "deals")]
    volume_usdc_micros: Annotated[int, Note("sum of the prices of completed deals", USDC_MICROS)]
    last_price_usdc_micros: Annotated[
        int | None, Note("price of the deal completed last", USDC_MICROS, "none completed")
    ]

    @property
    def active_agents(self) -> int:
        """How many agents are present."""
        return self.active_buyers + self.active_sellers


class ReadAgent(AgentRow, frozen=True, kw_only=True):
    """One agent as it is now."""

    user_id: Annotated[str, Note("id of its wallet's user")]
    avatar: Annotated[str, Note("its avatar")]
    swarm: Annotated[Text, Note("swarm it belongs to", null="a user's own agent")]
    nft_id: Annotated[Text, Note("id of the item it sells", null="a buyer")]
    joined_at_ms: Annotated[int, Note("when it joined", MILLISECONDS)]
    left_at_ms: Annotated[int | None, Note("when it left", MILLISECONDS, "it is still there")]
    spoke_at_ms: Annotated[int | None, Note("when it last spoke", MILLISECONDS, "it has not")]
    bound_by: Annotated[Text, Note("deal that binds it now", null="none")]
    negotiation_ms: Annotated[
        int | None, Note("from its joining to the lock of the deal it completed", "ms", "no completed deal")
    ]


class ReadDeal(DealRow, frozen=True, kw_only=True):
    """One deal as it is now, with its parties' wallets and its times."""

    collection: Annotated[str, Note("address of the item's collection")]
    nft_id: Annotated[str, Note("id of the item")]
    item_name: Annotated[str, Note("its name")]
    buyer_wallet: Annotated[str, Note("wallet that pays")]
    seller_wallet: Annotated[str, Note("wallet that is paid")]
    buyer_user_id: Annotated[str, Note("id of its user")]
    seller_user_id: Annotated[str, Note("id of its user")]
    buyer_swarm: Annotated[Text, Note("swarm of the buyer", null="a user's own agent")]
    seller_swarm: Annotated[Text, Note("swarm of the seller", null="a user's own agent")]
    chain_id: Annotated[int, Note("chain it settles on")]
    escrow: Annotated[str, Note("escrow contract there")]
    set_version: Annotated[int, Note("verifier set that judges it")]
    deal_hash: Annotated[str, Note("hash of its terms, which votes and escrow refer to")]
    deadline_ms: Annotated[int, Note("chain time after which it cannot execute", MILLISECONDS)]
    time_to_deal_ms: Annotated[int, Note("`rounds_to_lock` in room time", "ms")]
    certified_at_ms: Annotated[int | None, Note("time of the certificate", MILLISECONDS, "no certificate")]
    ended_at_ms: Annotated[int | None, Note("when it completed or failed", MILLISECONDS, "still open")]
    block_hash: Annotated[Text, Note("hash of that block", null="it did not complete")]


class VoteRow(msgspec.Struct, frozen=True):
    """One verifier's vote in the certificate of a deal."""

    deal: Annotated[str, Note("deal id")]
    verifier: Annotated[str, Note("who voted")]
    decision: Annotated[Decision, Note("approve or reject")]
    signature: Annotated[str, Note("over the statement that all sign")]
    reasons: Annotated[str, Note("what it found against the deal, with blanks between; empty for nothing")]
    block: Annotated[int, Note("block it looked at", "block number")]
    at_ms: Annotated[int, Note("when it looked", MILLISECONDS)]
    annex_signature: Annotated[str, Note("over reasons, block and time")]


class SwarmRow(msgspec.Struct, frozen=True):
    """One swarm as it is now; what its agents did is in the view `swarm_analytics`."""

    swarm: Annotated[str, Note("swarm id")]
    room: Annotated[str, Note("room it trades in")]
    owner: Annotated[str, Note("wallet that started it")]
    user_id: Annotated[str, Note("id of that wallet's user")]
    preset: Annotated[str, Note("preset it was drawn from, or `custom`")]
    buyers: Annotated[int, Note("buyers it was given", "agents")]
    sellers: Annotated[int, Note("sellers it was given", "agents")]
    status: Annotated[SwarmStatus, Note("running, paused or completed")]
    speed: Annotated[int, Note("pace of its rounds: 1, 10, or 0 for as fast as it goes")]
    started_at_ms: Annotated[int, Note("when it started", MILLISECONDS)]
    updated_at_ms: Annotated[int, Note("when it last changed", MILLISECONDS)]


class ReadTable(msgspec.Struct, frozen=True):
    """One table of the read schema. Rows of one with `appended` never change.

    In a table with `merged`, a missing value of a later row means "as it was".
    """

    name: str
    description: str
    row: type[msgspec.Struct]
    key: tuple[str, ...]
    appended: bool = False
    merged: bool = False


USERS = ReadTable("users", "Wallets that signed in or have a budget.", UserRow, ("user_id",), merged=True)
NFTS = ReadTable("nfts", "Items that were minted, listed or sold.", NftRow, ("nft_id",), merged=True)
ROOMS = ReadTable("rooms", "Every room with its prices and counts now.", RoomRow, ("room",))
SWARMS = ReadTable("swarms", "Every swarm.", SwarmRow, ("swarm",))
AGENTS = ReadTable("agents", "Every agent with what the room saw of it.", ReadAgent, ("agent",))
DEALS = ReadTable("deals", "Every deal with its terms, its states and the market at its lock.", ReadDeal, ("deal",))
VOTES = ReadTable(
    "deal_votes", "The certificates of deals, vote by vote.", VoteRow, ("deal", "verifier"), appended=True
)
MESSAGES = ReadTable("messages", "Everything said, with its words.", MessageRow, ("room", "seq"), appended=True)
FLOORS = ReadTable(
    "floor_path", "Floor and top bid after each event that moved one.", FloorRow, ("room", "seq"), appended=True
)

READ_TABLES = (USERS, NFTS, ROOMS, SWARMS, AGENTS, DEALS, VOTES, MESSAGES, FLOORS)
"""All tables, in the order in which pages show them and commits write them."""
