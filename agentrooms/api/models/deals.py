"""Deals as they go out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from agentrooms.api.models.base import Micros, Time, Usdc, Wire, iso, money
from agentrooms.api.models.frames import NftBrief
from agentrooms.domain.deal import DealState, Decision, FailReason
from agentrooms.domain.explain import why_failed
from agentrooms.domain.progress import Stage, of_state
from agentrooms.domain.terms import Role
from agentrooms.projections.read_rows import ReadAgent, ReadDeal, VoteRow
from agentrooms.projections.read_views import DealEvidence


class DealStatus(StrEnum):
    """Where a deal stands, in the PRD's words."""

    LOCKED = "locked"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    FAILED = "failed"


def status_of(state: str) -> DealStatus:
    """Returns the PRD's word for a deal's state."""
    return DealStatus.VERIFYING if state == DealState.EXECUTING else DealStatus(state)


class AgentRef(Wire):
    """One side of a deal."""

    id: str = Field(examples=["agent_4q7rx2l3vnk5e"])
    name: str = Field(examples=["Ada"])
    avatar: str = Field(examples=["🦊"])
    role: Role
    user_id: str = Field(examples=["user_m2c5rk7xq3zvy"])
    wallet_address: str = Field(examples=["0x52908400098527886e0f7030069857d2e4169ee7"])
    swarm_id: str | None = Field(description="Its swarm; null for a person's own agent", examples=[None])


class NftRef(NftBrief):
    """The item of a deal."""

    grade: str = Field(description="Its class of comparable items; empty for none", examples=["common"])


class PriceAnalysis(Wire):
    """The price beside the market just before the lock; null where nothing stood there to compare with."""

    floor_price: Usdc | None
    floor_price_micros: Micros | None
    top_bid: Usdc | None
    top_bid_micros: Micros | None
    over_floor: Usdc | None = Field(description="Price minus floor; below zero when sold under it", examples=[-1.5])
    over_floor_micros: Micros | None
    over_floor_permille: int | None = Field(description="The same over the floor", examples=[-30])


class Verification(Wire):
    """What the verifiers decided, null where they have not."""

    set_version: int = Field(examples=[1])
    decision: Decision | None
    approvals: int | None = Field(examples=[7])
    rejections: int | None = Field(examples=[0])
    certified_at: Time | None


class DealBody(Wire):
    """One deal."""

    id: str = Field(examples=["deal_k3vq5x2ryw7la"])
    room_id: str = Field(examples=["room_lg4yq2x7mk3ve"])
    status: DealStatus = Field(examples=["completed"])
    stage: Stage = Field(description="What settlement is busy with", examples=["confirmation"])
    percent: int = Field(ge=0, le=100, examples=[100])
    buyer_agent: AgentRef
    seller_agent: AgentRef
    nft: NftRef
    final_price: Usdc
    final_price_micros: Micros
    analysis: PriceAnalysis
    verification: Verification
    chain_id: int = Field(examples=[11812])
    escrow: str = Field(examples=["0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"])
    deal_hash: str = Field(description="Of its terms, which votes and escrow refer to", examples=["9f" * 32])
    tx_hash: str | None = Field(description="The escrow's transaction, once there is one", examples=["0x" + "1c" * 32])
    block_number: int | None = Field(examples=[812])
    block_hash: str | None = Field(examples=["0x" + "2d" * 32])
    locked_at: Time
    deadline: Time = Field(description="Chain time after which it cannot execute")
    completed_at: Time | None
    failed_at: Time | None
    fail_reason: FailReason | None
    fail_detail: str | None = Field(description="In words for programs", examples=[None])
    fail_meaning: str | None = Field(description="In a sentence", examples=[None])
    at_fault: str | None = Field(description="buyer, seller or both; null for nobody", examples=[None])


class VoteBody(Wire):
    """One verifier's vote in a deal's certificate."""

    verifier: str = Field(examples=["verifier_1"])
    decision: Decision
    reasons: tuple[str, ...] = Field(examples=[[]])
    signature: str = Field(examples=["ab" * 64])
    block_number: int = Field(description="The block it looked at", examples=[811])
    looked_at: Time


class DealDetail(DealBody):
    """One deal with the votes of its certificate."""

    votes: tuple[VoteBody, ...]


class DealAnswer(Wire):
    """One deal."""

    deal: DealDetail


class DealsPage(Wire):
    """Deals, the newest lock first."""

    deals: tuple[DealBody, ...]
    next_cursor: str | None = Field(examples=[None])


class MyDealsPage(DealsPage):
    """One's own deals, the newest lock first."""

    total: int = Field(examples=[1])


def deal_fields(row: ReadDeal, agents: Mapping[str, ReadAgent]) -> dict[str, object]:
    """Returns the fields of a deal; `agents` holds both its parties."""
    floor = row.floor_usdc_micros
    over = row.price_over_floor_usdc_micros
    stage, percent = of_state(row.state, decided=row.decision is not None, sent=row.tx_hash is not None)
    ended_at = iso(row.ended_at_ms)
    failed = row.fail_reason is not None
    return {
        "id": row.deal,
        "room_id": row.room,
        "status": status_of(row.state),
        "stage": stage,
        "percent": percent,
        "buyer_agent": agent_ref(agents[row.buyer]),
        "seller_agent": agent_ref(agents[row.seller]),
        "nft": NftRef(
            id=row.nft_id, collection=row.collection, token_id=row.token_id, name=row.item_name, grade=row.grade
        ),
        **money("final_price", row.price_usdc_micros),
        "analysis": PriceAnalysis(
            **money("floor_price", floor),
            **money("top_bid", row.top_bid_usdc_micros),
            **money("over_floor", over),
            over_floor_permille=int(over * 1_000 / floor) if floor and over is not None else None,
        ),
        "verification": Verification(
            set_version=row.set_version,
            decision=row.decision,
            approvals=row.approvals,
            rejections=row.rejections,
            certified_at=iso(row.certified_at_ms),
        ),
        "chain_id": row.chain_id,
        "escrow": row.escrow,
        "deal_hash": row.deal_hash,
        "tx_hash": row.tx_hash,
        "block_number": row.block,
        "block_hash": row.block_hash,
        "locked_at": iso(row.locked_at_ms),
        "deadline": iso(row.deadline_ms),
        "completed_at": None if failed else ended_at,
        "failed_at": ended_at if failed else None,
        "fail_reason": row.fail_reason,
        "fail_detail": row.fail_detail,
        "fail_meaning": None if row.fail_reason is None else why_failed(row.fail_reason, row.fail_detail or ""),
        "at_fault": row.at_fault,
    }


def deal_body(row: ReadDeal, agents: Mapping[str, ReadAgent]) -> DealBody:
    """Returns a deal; `agents` holds both its parties."""
    return DealBody.model_validate(deal_fields(row, agents))


def deal_detail(found: DealEvidence, agents: Mapping[str, ReadAgent]) -> DealDetail:
    """Returns a deal with its votes."""
    return DealDetail.model_validate({**deal_fields(found.deal, agents), "votes": tuple(map(_vote, found.votes))})


def agent_ref(row: ReadAgent) -> AgentRef:
    """Returns an agent in short."""
    return AgentRef(
        id=row.agent,
        name=row.name,
        avatar=row.avatar,
        role=row.role,
        user_id=row.user_id,
        wallet_address=row.owner,
        swarm_id=row.swarm,
    )


def _vote(row: VoteRow) -> VoteBody:
    return VoteBody(
        verifier=row.verifier,
        decision=row.decision,
        reasons=tuple(row.reasons.split()),
        signature=row.signature,
        block_number=row.block,
        looked_at=iso(row.at_ms),
    )
