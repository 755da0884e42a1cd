"""The words shared by all deciders: roles, acts, styles, strategies, statuses.

The values are storage format: they stand in logs and on the wire. Never rename one.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Which side of the market an agent trades on."""

    BUYER = "buyer"
    SELLER = "seller"


class ActKind(StrEnum):
    """What an agent decides to do in a round."""

    OFFER = "offer"
    COUNTER = "counter"
    ACCEPT = "accept"
    REJECT = "reject"
    COMMENT = "comment"
    WITHDRAW = "withdraw"
    LEAVE = "leave"


class Style(StrEnum):
    """How an agent words its acts."""

    FORMAL = "formal"
    CASUAL = "casual"
    PROFESSIONAL = "professional"
    AGGRESSIVE = "aggressive"


class Mood(StrEnum):
    """How an agent feels about the market; a function of counted events."""

    CALM = "calm"
    KEEN = "keen"
    ANNOYED = "annoyed"
    DESPERATE = "desperate"
    PLEASED = "pleased"


class StrategyName(StrEnum):
    """Which pure strategy decides an agent's acts."""

    COMPETITIVE = "competitive"
    PATIENT = "patient"
    AGGRESSIVE = "aggressive"
    CONSERVATIVE = "conservative"
    SNIPER = "sniper"


class AgentStatus(StrEnum):
    """Where an agent stands in its life; `paused` is ours, the others are the PRD's."""

    SPAWNED = "spawned"
    ACTIVE = "active"
    NEGOTIATING = "negotiating"
    DEAL_LOCKED = "deal_locked"
    COMPLETED = "completed"
    LEFT = "left"
    PAUSED = "paused"


class LeaveReason(StrEnum):
    """Why an agent left its room."""

    SOLD_NFT = "sold_nft"
    BOUGHT_NFT = "bought_nft"
    TIMEOUT = "timeout"
    USER_REMOVED = "user_removed"
    DEAL_FAULT = "deal_fault"
    GAVE_UP = "gave_up"
    ROOM_CLOSED = "room_closed"
