"""From an event of a room's log to its frame."""

from __future__ import annotations

from functools import lru_cache
from typing import TypedDict

from agentrooms.api.models.base import iso, micros, usdc
from agentrooms.api.models.frames import (
    AgentBrief,
    AgentJoinedFrame,
    AgentLeftFrame,
    AgentMessageFrame,
    AgentStatusFrame,
    AnyEventFrame,
    DealCompletedFrame,
    DealFailedFrame,
    DealLockedFrame,
    DealStatusFrame,
    NftBrief,
    PartyBrief,
    PrivateFrame,
    QuoteExpiredFrame,
    RoomClosedFrame,
    RoomOpenedFrame,
    Speaker,
    UserMessageFrame,
    VerifierAccusedFrame,
)
from agentrooms.domain import progress
from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.assets import Item
from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealVerifying,
    Decision,
    EscrowSubmitted,
    VerifierAccused,
)
from agentrooms.domain.progress import Stage
from agentrooms.domain.room import ActPosted, PersonSpoke, QuoteExpired, Room, RoomClosed, RoomOpened
from agentrooms.errors import AgentroomsError
from agentrooms.events.catalogue import BY_NAME
from agentrooms.events.record import Recorded
from agentrooms.projections.platform_model import nft_id

LOG_ID_CHARACTERS = 12

DealMoved = DealLocked | DealVerifying | DealCertified | EscrowSubmitted | DealCompleted | DealFailed


class _Base(TypedDict):
    room_id: str
    log_id: str
    seq: int
    ts: str


class NoFrame(AgentroomsError):
    """An event that no room has."""


def frame_of(recorded: Recorded, room: Room) -> AnyEventFrame:
    """Returns the frame of a room's event. `room` is any state of the room at the event or after it.

    Raises NoFrame for an event that is not a room's.
    """
    base: _Base = {
        "room_id": recorded.chain,
        "log_id": log_id(room.id, room.started_at_ms, room.name),
        "seq": recorded.seq,
        "ts": iso(recorded.at_ms),
    }
    if BY_NAME[recorded.type].private:
        return PrivateFrame(**base)
    event = recorded.event
    match event:
        case ActPosted():
            return _message(base, event, room)
        case AgentSpawned():
            return AgentJoinedFrame(
                **base,
                agent=brief(room, event.agent),
                strategy=event.strategy,
                communication_style=event.style,
                swarm_id=event.swarm,
                nft=nft(room.collection, event.item) if event.item is not None else None,
            )
        case AgentPaused():
            return AgentStatusFrame(**base, agent_id=event.agent, status="paused")
        case AgentResumed():
            return AgentStatusFrame(**base, agent_id=event.agent, status="resumed")
        case AgentReconfigured():
            return AgentStatusFrame(
                **base,
                agent_id=event.agent,
                status="reconfigured",
                strategy=event.strategy,
                communication_style=event.style,
            )
        case AgentLeft():
            return AgentLeftFrame(**base, agent_id=event.agent, reason=event.reason)
        case PersonSpoke():
            speaker = Speaker(id=event.user, wallet=event.wallet)
            return UserMessageFrame(**base, user=speaker, message=event.text, timestamp=base["ts"])
        case QuoteExpired():
            return QuoteExpiredFrame(**base, agent_id=event.agent, quote_id=event.quote)
        case DealLocked() | DealVerifying() | DealCertified() | EscrowSubmitted() | DealCompleted() | DealFailed():
            return _deal(base, event, room)
        case VerifierAccused():
            found = event.evidence
            return VerifierAccusedFrame(**base, deal_id=event.deal, verifier=found.verifier, kind=found.kind)
        case RoomOpened():
            return RoomOpenedFrame(
                **base,
                name=event.name,
                collection=event.collection,
                comparable_by=event.comparable_by,
                round_ms=event.round_ms,
            )
        case RoomClosed():
            return RoomClosedFrame(**base, reason=event.reason)
    raise NoFrame(f"an event of type {recorded.type} is not a room's")


@lru_cache(maxsize=1_000)
def log_id(room: str, started_at_ms: int, name: str) -> str:
    """Returns what tells a room's log from that of another room, and of the same one in another installation."""
    return digest("agentrooms/log-id", canonical([room, started_at_ms, name]))[:LOG_ID_CHARACTERS]


def nft(collection: str, item: Item) -> NftBrief:
    """Returns an item as frames name it."""
    return NftBrief(id=nft_id(collection, item.token_id), collection=collection, token_id=item.token_id, name=item.name)


def brief(room: Room, agent: str) -> AgentBrief:
    """Returns an agent as frames name it."""
    known = room.agents[agent]
    return AgentBrief(id=agent, name=known.name, avatar=known.avatar, role=known.role)


def _message(base: _Base, event: ActPosted, room: Room) -> AgentMessageFrame:
    return AgentMessageFrame(
        **base,
        agent=brief(room, event.agent),
        message=event.text,
        timestamp=base["ts"],
        act=event.act,
        quote_id=event.quote,
        refers_to=event.refers_to,
        to=event.to,
        price=usdc(event.price_usdc_micros),
        price_micros=micros(event.price_usdc_micros),
        token_id=event.token_id,
        mood=event.mood,
        round=event.round,
    )


def _deal(base: _Base, event: DealMoved, room: Room) -> AnyEventFrame:
    terms = event.terms if isinstance(event, DealLocked) else room.deals[event.deal].terms
    match event:
        case DealLocked():
            return DealLockedFrame(
                **base,
                deal_id=terms.deal,
                buyer_agent=brief(room, terms.buyer),
                seller_agent=brief(room, terms.seller),
                nft=nft(terms.collection, terms.item),
                price=usdc(terms.price_usdc_micros),
                price_micros=micros(terms.price_usdc_micros),
                quote_id=terms.quote,
                deadline=iso(terms.deadline_ms),
            )
        case DealCompleted():
            return DealCompletedFrame(
                **base,
                deal_id=terms.deal,
                tx_hash=event.receipt.tx_hash,
                block=event.receipt.block,
                buyer=_party(room, terms.buyer, terms.buyer_wallet),
                seller=_party(room, terms.seller, terms.seller_wallet),
                nft=nft(terms.collection, terms.item),
                price=usdc(terms.price_usdc_micros),
                price_micros=micros(terms.price_usdc_micros),
            )
        case DealFailed():
            return DealFailedFrame(
                **base,
                deal_id=terms.deal,
                reason=event.reason,
                detail=event.detail,
                at_fault=event.at_fault,
                buyer_agent=brief(room, terms.buyer),
                seller_agent=brief(room, terms.seller),
                nft=nft(terms.collection, terms.item),
            )
        case DealVerifying() | DealCertified() | EscrowSubmitted():
            return _deal_status(base, event)


def _deal_status(base: _Base, event: DealVerifying | DealCertified | EscrowSubmitted) -> DealStatusFrame:
    match event:
        case DealVerifying():
            stage, percent = progress.by_votes(0)
            return DealStatusFrame(**base, deal_id=event.deal, status="verifying", stage=stage, percent=percent)
        case DealCertified():
            approved = event.decision is Decision.APPROVE
            stage = Stage.EXECUTION if approved else Stage.CONSENSUS
            return DealStatusFrame(
                **base,
                deal_id=event.deal,
                status="certified",
                stage=stage,
                percent=progress.APPROVED,
                decision=event.decision,
                votes=sum(vote.decision is event.decision for vote in event.votes),
            )
        case EscrowSubmitted():
            stage, percent = progress.by_confirmations(0, 1)
            return DealStatusFrame(
                **base,
                deal_id=event.deal,
                status="submitted",
                stage=stage,
                percent=percent,
                tx_hash=event.tx_hash,
            )


def _party(room: Room, agent: str, wallet: str) -> PartyBrief:
    known = room.agents[agent]
    return PartyBrief(id=agent, name=known.name, avatar=known.avatar, role=known.role, wallet=wallet)
