"""Agents as they go out, and what is asked of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from agentrooms.api.items import NftId
from agentrooms.api.models.base import Asked, Id, Micros, Plain, Time, Usdc, UsdcIn, Wire, iso, money
from agentrooms.api.models.deals import DealBody
from agentrooms.domain.agent import AVATAR_CHARACTERS_MAX, NAME_CHARACTERS_MAX
from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.mandate import SIGNATURE_BYTES_MAX, WANTED_ITEMS_MAX, WANTED_TRAITS_MAX, Mandate
from agentrooms.domain.terms import AgentStatus, LeaveReason, Role, StrategyName, Style
from agentrooms.live.commands import ITEM_TEXT_CHARACTERS_MAX
from agentrooms.projections.read_rows import ReadAgent
from agentrooms.projections.read_views import AgentPerformance

AGENT = "agent_4q7rx2l3vnk5e"  # in examples
EXPIRES_S_MAX = 31_536_000  # a year: a room's rounds end before
SIGNATURE_CHARACTERS_MAX = 2 + 2 * SIGNATURE_BYTES_MAX

TokenId = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,77})$", examples=["1234"])]
TraitText = Annotated[str, Plain, Field(min_length=1, max_length=ITEM_TEXT_CHARACTERS_MAX)]


class WantsAsked(Asked):
    """What a buyer takes: any item of the room's collection, listed ones, or those that have all of some traits."""

    kind: WantKind
    token_ids: tuple[TokenId, ...] = Field(default=(), max_length=WANTED_ITEMS_MAX)
    traits: dict[TraitText, TraitText] = Field(default={}, max_length=WANTED_TRAITS_MAX)

    @property
    def wants(self) -> Wants:
        """The same in the domain's words."""
        return Wants(self.kind, self.token_ids, dict(self.traits))


class _Trader(Asked):
    """What an agent is to be. A seller's limit is its `minPrice`, a buyer's its `maxPrice`."""

    room_id: Id = Field(examples=["room_lg4yq2x7mk3ve"])
    role: Role
    nft_id: NftId | None = Field(default=None, description="What a seller sells: an item's id, or `0x…:123`")
    name: Annotated[str, Plain] | None = Field(
        default=None, min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["Ada"]
    )
    avatar: Annotated[str, Plain] | None = Field(
        default=None, min_length=1, max_length=AVATAR_CHARACTERS_MAX, examples=["🦊"]
    )
    communication_style: Style
    strategy: StrategyName
    min_price: UsdcIn | None = Field(default=None, description="A seller's limit: the least it takes")
    max_price: UsdcIn | None = Field(
        default=None,
        description="A buyer's limit: the most it pays. The most a seller asks, by default twice its start",
    )
    starting_price: UsdcIn = Field(description="Its first ask or bid")
    wants: WantsAsked | None = Field(default=None, description="What a buyer takes; any item by default")

    @model_validator(mode="after")
    def _fits_role(self) -> _Trader:
        """Refuses what does not go with the role. No message repeats a value."""
        if self.role is Role.SELLER:
            if self.nft_id is None or self.min_price is None:
                raise ValueError("a seller needs nftId and minPrice")
            if self.wants is not None:
                raise ValueError("a seller wants nothing")
        elif self.max_price is None:
            raise ValueError("a buyer needs maxPrice")
        elif self.min_price is not None or self.nft_id is not None:
            raise ValueError("a buyer has neither minPrice nor nftId; its wants say what it buys")
        return self

    @property
    def limit_usdc_micros(self) -> int:
        """The reservation price."""
        limit = self.min_price if self.role is Role.SELLER else self.max_price
        assert limit is not None
        return limit

    @property
    def maximum_usdc_micros(self) -> int | None:
        """The most a seller asks; None leaves it to the desk."""
        return self.max_price if self.role is Role.SELLER else None


_BUYER: dict[str, Any] = {
    "roomId": "room_lg4yq2x7mk3ve",
    "role": "buyer",
    "name": "Ada",
    "avatar": "🦊",
    "communicationStyle": "casual",
    "strategy": "patient",
    "maxPrice": 52.5,
    "startingPrice": 40,
}


class DraftAsked(_Trader):
    """An agent whose mandate is to be signed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_BUYER, "expiresInSeconds": 3600}]})

    expires_in_seconds: int | None = Field(
        default=None,
        ge=1,
        le=EXPIRES_S_MAX,
        strict=True,
        description="Without it, half an hour; agents give way over all of it",
    )


class SpawnAsked(_Trader):
    """An agent whose mandate is signed: what it is to be, as it was drafted, with the signature."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_BUYER, "mandateId": "draft_4q7rx2l3vnk5e", "signature": "0x" + "1b" * 65}]}
    )

    mandate_id: Id
    signature: str = Field(max_length=SIGNATURE_CHARACTERS_MAX, pattern=r"^0x([0-9a-fA-F]{2})+$")


class SteerAsked(Asked):
    """What an agent is to do."""

    action: Literal["pause", "resume"]


class Approvals(Wire):
    """What the wallet has yet to let the escrow do; GET /wallet/approvals gives the transactions. For its owner alone."""

    balance: float = Field(description="USDC in the wallet", examples=[120.5])
    balance_micros: Micros
    allowance: float = Field(description="What the escrow may take of it in all the wallet's deals", examples=[0])
    allowance_micros: Micros
    allowance_missing: bool = Field(
        description="A buyer's allowance is below its limit: allow a budget", examples=[True]
    )
    item_approval_missing: bool = Field(description="The escrow may not move a seller's item yet", examples=[False])


class DraftAnswer(Wire):
    """A mandate to sign."""

    mandate_id: str = Field(examples=["draft_4q7rx2l3vnk5e"])
    mandate_hash: str = Field(examples=["9f" * 32])
    typed_data: dict[str, Any] = Field(
        description="For eth_signTypedData_v4",
        examples=[{"types": {}, "primaryType": "Mandate", "domain": {}, "message": {}}],
    )
    expires_at: Time = Field(description="Until when it can be spawned")
    approvals: Approvals


class MandateBody(Wire):
    """An agent's limits, for its owner alone."""

    hash: str = Field(examples=["9f" * 32])
    min_price: Usdc | None = Field(description="A seller's limit")
    min_price_micros: Micros | None
    max_price: Usdc | None = Field(description="A buyer's limit, or the most a seller asks")
    max_price_micros: Micros | None
    starting_price: Usdc
    starting_price_micros: Micros
    starts_at: Time
    expires_at: Time
    counter: int = Field(examples=[0])


class Performance(Wire):
    """How well an agent did. Against the floor at the lock of its completed deals."""

    deals_completed: int = Field(examples=[1])
    deals_failed: int = Field(examples=[0])
    best_deal_permille: int | None = Field(description="Most by which a price beat the floor", examples=[42])
    savings: Usdc | None = Field(description="Floors minus prices paid; null for a seller")
    savings_micros: Micros | None
    earnings: Usdc | None = Field(description="Prices got minus floors; null for a buyer", examples=[None])
    earnings_micros: Micros | None = Field(examples=[None])
    avg_negotiation_seconds: float | None = Field(examples=[21.5])
    messages_sent: int = Field(examples=[12])


class AgentBody(Wire):
    """One agent as anybody may see it."""

    id: str = Field(examples=[AGENT])
    user_id: str = Field(examples=["user_m2c5rk7xq3zvy"])
    wallet_address: str = Field(examples=["0x52908400098527886e0f7030069857d2e4169ee7"])
    room_id: str = Field(examples=["room_lg4yq2x7mk3ve"])
    swarm_id: str | None = Field(examples=[None])
    name: str = Field(examples=["Ada"])
    avatar: str = Field(examples=["🦊"])
    role: Role
    communication_style: Style
    strategy: StrategyName
    status: AgentStatus
    nft_id: str | None = Field(description="What a seller sells", examples=[None])
    token_id: str | None = Field(examples=[None])
    wants: str | None = Field(description="What a buyer takes, in short", examples=["any"])
    messages_sent: int = Field(examples=[12])
    negotiation_time_seconds: float | None = Field(
        description="From its joining to the lock of the deal it completed", examples=[21.5]
    )
    first_price: Usdc | None = Field(description="The first it quoted")
    first_price_micros: Micros | None
    last_price: Usdc | None = Field(description="The last it quoted")
    last_price_micros: Micros | None
    deal_id: str | None = Field(
        description="The deal that binds it, or that it completed", examples=["deal_k3vq5x2ryw7la"]
    )
    deal_price: Usdc | None = Field(description="Of the deal it completed")
    deal_price_micros: Micros | None
    joined_at: Time
    left_at: Time | None = Field(examples=[None])
    left_reason: LeaveReason | None = Field(examples=[None])


class AgentDetail(AgentBody):
    """One agent with its deal and what it achieved. `mandate` is null for all but its owner."""

    deal: DealBody | None
    performance: Performance
    mandate: MandateBody | None


class AgentAnswer(Wire):
    """One agent."""

    agent: AgentDetail


class AgentsPage(Wire):
    """Agents by id."""

    agents: tuple[AgentBody, ...]
    next_cursor: str | None = Field(examples=[None])


class Removed(Wire):
    """It has left."""

    message: Literal["Agent removed from room"] = "Agent removed from room"


class Reason(Wire):
    """Why an agent acted in a round."""

    round: int = Field(examples=[37])
    at: Time
    rule: str = Field(description="The rule of its strategy that decided", examples=["concede"])
    facts: dict[str, str | int] = Field(
        description="What it decided on; prices in micro-USDC", examples=[{"rounds_left": 120}]
    )


class ReasonsPage(Wire):
    """Why an agent acted as it did, the oldest first. For its owner alone."""

    reasons: tuple[Reason, ...]
    next_cursor: str | None = Field(examples=[None])


def agent_fields(row: ReadAgent) -> dict[str, object]:
    """Returns the fields of an agent that anybody may see."""
    return {
        "id": row.agent,
        "user_id": row.user_id,
        "wallet_address": row.owner,
        "room_id": row.room,
        "swarm_id": row.swarm,
        "name": row.name,
        "avatar": row.avatar,
        "role": row.role,
        "communication_style": row.style,
        "strategy": row.strategy,
        "status": row.status,
        "nft_id": row.nft_id,
        "token_id": row.token_id,
        "wants": row.wants,
        "messages_sent": row.messages,
        "negotiation_time_seconds": None if row.negotiation_ms is None else row.negotiation_ms / 1_000,
        **money("first_price", row.first_price_usdc_micros),
        **money("last_price", row.last_price_usdc_micros),
        "deal_id": row.deal or row.bound_by,
        **money("deal_price", row.deal_price_usdc_micros),
        "joined_at": iso(row.joined_at_ms),
        "left_at": iso(row.left_at_ms),
        "left_reason": row.left_reason,
    }


def agent_body(row: ReadAgent) -> AgentBody:
    """Returns an agent as anybody may see it."""
    return AgentBody.model_validate(agent_fields(row))


def performance_of(row: AgentPerformance) -> Performance:
    """Returns how well an agent did."""
    return Performance.model_validate(
        {
            "deals_completed": row.deals_completed,
            "deals_failed": row.deals_failed,
            "best_deal_permille": row.best_deal_permille,
            **money("savings", row.savings_usdc_micros),
            **money("earnings", row.earnings_usdc_micros),
            "avg_negotiation_seconds": None if row.avg_negotiation_ms is None else row.avg_negotiation_ms / 1_000,
            "messages_sent": row.messages,
        }
    )


def mandate_body(hash_: str, mandate: Mandate) -> MandateBody:
    """Returns the limits of a mandate, for its principal."""
    selling = mandate.role is Role.SELLER
    return MandateBody.model_validate(
        {
            "hash": hash_,
            **money("min_price", mandate.reservation_usdc_micros if selling else None),
            **money("max_price", mandate.maximum_usdc_micros if selling else mandate.reservation_usdc_micros),
            **money("starting_price", mandate.start_usdc_micros),
            "starts_at": iso(mandate.not_before_ms),
            "expires_at": iso(mandate.expires_at_ms),
            "counter": mandate.counter,
        }
    )
