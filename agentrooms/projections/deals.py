"""Deals: every sale from its lock to its end, beside what the market offered when it was locked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec.structs import replace

from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealState,
    DealVerifying,
    Decision,
    EscrowSubmitted,
    FailReason,
)
from agentrooms.domain.event import Event
from agentrooms.domain.room import Room
from agentrooms.domain.terms import Role
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import MILLISECONDS, ROUND, ROUNDS, USDC_MICROS, Note, Table
from agentrooms.projections.walk import BrokenLog, Rooms


class DealRow(msgspec.Struct, frozen=True):
    """One deal."""

    room: Annotated[str, Note("room id")]
    deal: Annotated[str, Note("deal id")]
    token_id: Annotated[str, Note("item sold")]
    grade: Annotated[str, Note("its class of comparable items")]
    buyer: Annotated[str, Note("id of the buying agent")]
    seller: Annotated[str, Note("id of the selling agent")]
    price_usdc_micros: Annotated[int, Note("price agreed: that of the accepted quote", USDC_MICROS)]
    quote: Annotated[str, Note("quote that was accepted")]
    aggressor: Annotated[Role, Note("side that accepted; the other side's quote had been resting")]
    state: Annotated[DealState, Note("locked, verifying, executing, completed or failed")]
    floor_usdc_micros: Annotated[
        int | None, Note("lowest ask of the item's grade just before the lock", USDC_MICROS, "no such ask stood")
    ]
    top_bid_usdc_micros: Annotated[
        int | None, Note("highest bid that the item might have taken then", USDC_MICROS, "no such bid stood")
    ]
    price_over_floor_usdc_micros: Annotated[
        int | None, Note("price minus that floor; below zero when sold under it", USDC_MICROS, "no floor then")
    ]
    locked_event: Annotated[int, Note("place of the lock in the log, from 1", "events")]
    locked_seq: Annotated[int, Note("the same within the room", "events")]
    locked_at_ms: Annotated[int, Note("time of its round", MILLISECONDS)]
    locked_round: Annotated[int, Note("round of the lock", ROUND)]
    verifying_round: Annotated[int | None, Note("round in which the verifiers were asked", ROUND, "not asked yet")]
    certified_round: Annotated[int | None, Note("round of the certificate", ROUND, "no certificate")]
    submitted_round: Annotated[
        int | None, Note("round in which the escrow transaction was stored", ROUND, "there was none")
    ]
    ended_round: Annotated[int | None, Note("round in which it completed or failed", ROUND, "still open")]
    rounds_to_lock: Annotated[int, Note("from the round in which both agents were there to the lock", ROUNDS)]
    rounds_to_end: Annotated[int | None, Note("from the lock to the end", ROUNDS, "still open")]
    decision: Annotated[Decision | None, Note("what the certificate says: approve or reject", null="no certificate")]
    approvals: Annotated[int | None, Note("votes to approve in it", "votes", "no certificate")]
    rejections: Annotated[int | None, Note("votes to reject in it", "votes", "no certificate")]
    fail_reason: Annotated[FailReason | None, Note("rejected or expired", null="it did not fail")]
    fail_detail: Annotated[str | None, Note("the reasons the verifiers or the chain gave", null="it did not fail")]
    at_fault: Annotated[
        str | None, Note("buyer, seller or both: whose doing the failure was", null="it did not fail, or nobody's")
    ]
    tx_hash: Annotated[
        str | None, Note("escrow transaction that executed it, else the one made last", null="there was none")
    ]
    block: Annotated[int | None, Note("block that swapped item and payment", "block number", "it did not complete")]


def rows(events: Iterable[Recorded]) -> list[DealRow]:
    """Returns one row for each deal, in the order of their locks."""
    found: dict[str, DealRow] = {}
    rooms = Rooms()
    for number, recorded in enumerate(events, start=1):
        event = recorded.event
        if isinstance(event, DealLocked):
            found[event.terms.deal] = locked_row(rooms.get(recorded.chain), number, recorded, event)
        rooms.apply(number, recorded)
        name: str | None = getattr(event, "deal", None)
        if name is not None:
            found[name] = moved_row(found[name], event, rooms.get(recorded.chain).deals[name].state)
    return list(found.values())


def locked_row(room: Room, number: int, recorded: Recorded, event: DealLocked) -> DealRow:
    """Returns the row of a deal as it is locked; `room` is the one just before. Raises BrokenLog."""
    terms = event.terms
    if not {terms.buyer, terms.seller} <= room.agents.keys() or terms.quote not in room.quotes:
        raise BrokenLog(number, recorded)
    grade = terms.item.grade(room.comparable_by)
    floor = room.best(Role.SELLER, grade)
    buyer, seller = room.agents[terms.buyer], room.agents[terms.seller]
    return DealRow(
        room=recorded.chain,
        deal=terms.deal,
        token_id=terms.item.token_id,
        grade=grade,
        buyer=buyer.id,
        seller=seller.id,
        price_usdc_micros=terms.price_usdc_micros,
        quote=terms.quote,
        aggressor=Role.SELLER if room.quotes[terms.quote].agent == buyer.id else Role.BUYER,
        state=DealState.LOCKED,
        floor_usdc_micros=floor,
        top_bid_usdc_micros=room.best(Role.BUYER, grade),
        price_over_floor_usdc_micros=None if floor is None else terms.price_usdc_micros - floor,
        locked_event=number,
        locked_seq=recorded.seq,
        locked_at_ms=recorded.at_ms,
        locked_round=event.round,
        verifying_round=None,
        certified_round=None,
        submitted_round=None,
        ended_round=None,
        rounds_to_lock=event.round - max(buyer.joined_round, seller.joined_round),
        rounds_to_end=None,
        decision=None,
        approvals=None,
        rejections=None,
        fail_reason=None,
        fail_detail=None,
        at_fault=None,
        tx_hash=None,
        block=None,
    )


def moved_row(row: DealRow, event: Event, state: DealState) -> DealRow:
    """Returns the row after one later event of its deal, which left the deal in `state`."""
    return replace(_moved(row, event), state=state)


def _moved(row: DealRow, event: Event) -> DealRow:
    match event:
        case DealVerifying():
            return replace(row, verifying_round=event.round)
        case DealCertified():
            approvals = sum(vote.decision is Decision.APPROVE for vote in event.votes)
            return replace(
                row,
                certified_round=event.round,
                decision=event.decision,
                approvals=approvals,
                rejections=len(event.votes) - approvals,
            )
        case EscrowSubmitted():
            return replace(row, submitted_round=event.round, tx_hash=event.tx_hash)
        case DealCompleted():
            receipt = event.receipt  # perhaps of another's transaction
            return replace(_ended(row, event.round), block=receipt.block, tx_hash=receipt.tx_hash)
        case DealFailed():
            return replace(
                _ended(row, event.round),
                fail_reason=event.reason,
                fail_detail=event.detail,
                at_fault=_fault(row, event.at_fault),
            )
    return row


def _ended(row: DealRow, round_: int) -> DealRow:
    return replace(row, ended_round=round_, rounds_to_end=round_ - row.locked_round)


def _fault(row: DealRow, at_fault: tuple[str, ...]) -> str | None:
    named = [role for role, agent in ((Role.BUYER, row.buyer), (Role.SELLER, row.seller)) if agent in at_fault]
    if len(named) == 2:
        return "both"
    return named[0].value if named else None


TABLE = Table("deals", "Every deal with its terms, its states and the market at its lock.", DealRow, rows)
