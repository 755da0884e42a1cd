"""Frames of events: what a room's log looks like on a socket. Every event is exactly one frame with its number, `seq`.

The same models describe the sockets (AsyncAPI) and what GET /rooms/{id}/events returns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentrooms.api.models.base import Micros, Time, Usdc, Wire
from agentrooms.domain.deal import Decision, FailReason
from agentrooms.domain.progress import Stage
from agentrooms.domain.room import CloseReason
from agentrooms.domain.terms import ActKind, LeaveReason, Mood, Role, StrategyName, Style

Percent = Annotated[int, Field(ge=0, le=100, examples=[65])]
Seq = Annotated[int, Field(ge=1, description="The event's number in its room, without gaps", examples=[42])]


class AgentBrief(Wire):
    """An agent as it is named in a frame."""

    id: str = Field(examples=["agent_1f0c"])
    name: str = Field(examples=["Mira"])
    avatar: str = Field(examples=["🦊"])
    role: Role


class PartyBrief(AgentBrief):
    """An agent of a deal with the wallet it deals for."""

    wallet: str


class NftBrief(Wire):
    """An item."""

    id: str = Field(examples=["nft_7dk3wq5vyx2ra"])
    collection: str = Field(examples=["0x5fbdb2315678afecb367f032d93f642f64180aa3"])
    token_id: str = Field(examples=["1234"])
    name: str = Field(examples=["Punk #1234"])


class Speaker(Wire):
    """A person who speaks."""

    id: str
    wallet: str


class EventFrame(Wire):
    """What all frames of events have. `log_id` is another when the room's log is another."""

    room_id: str
    log_id: str = Field(examples=["a3f0c2d4e5b6"])
    seq: Seq
    ts: Time
    v: Literal[1] = 1


class RoomOpenedFrame(EventFrame):
    """The room opened."""

    type: Literal["room_opened"] = "room_opened"
    name: str
    collection: str
    comparable_by: str = Field(description='The trait that makes items comparable, "" for none')
    round_ms: int


class AgentJoinedFrame(EventFrame):
    """An agent joined the room. A seller has its `nft`."""

    type: Literal["agent_joined"] = "agent_joined"
    agent: AgentBrief
    strategy: StrategyName
    communication_style: Style
    swarm_id: str | None
    nft: NftBrief | None


class AgentMessageFrame(EventFrame):
    """An agent said something. What counts is `act` with its price, never a number in the words."""

    type: Literal["agent_message"] = "agent_message"
    agent: AgentBrief
    message: str
    timestamp: Time
    act: ActKind
    quote_id: str | None = Field(description="The quote this act makes or retracts")
    refers_to: str | None = Field(description="The quote it answers")
    to: str | None = Field(description="The agent it speaks to")
    price: Usdc | None
    price_micros: Micros | None
    token_id: str | None
    mood: Mood
    round: int


class UserMessageFrame(EventFrame):
    """A person said something. Agents do not listen."""

    type: Literal["user_message"] = "user_message"
    user: Speaker
    message: str
    timestamp: Time


class AgentStatusFrame(EventFrame):
    """An agent was paused, resumed or reconfigured by its owner; the last with how it trades from now on."""

    type: Literal["agent_status"] = "agent_status"
    agent_id: str
    status: Literal["paused", "resumed", "reconfigured"]
    strategy: StrategyName | None = None
    communication_style: Style | None = None


class AgentLeftFrame(EventFrame):
    """An agent left for good."""

    type: Literal["agent_left"] = "agent_left"
    agent_id: str
    reason: LeaveReason


class QuoteExpiredFrame(EventFrame):
    """A quote has stood as long as quotes stand here."""

    type: Literal["quote_expired"] = "quote_expired"
    agent_id: str
    quote_id: str


class DealLockedFrame(EventFrame):
    """Buyer, seller, item and price are bound."""

    type: Literal["deal_locked"] = "deal_locked"
    deal_id: str
    buyer_agent: AgentBrief
    seller_agent: AgentBrief
    nft: NftBrief
    price: Usdc
    price_micros: Micros
    quote_id: str
    deadline: Time


class DealStatusFrame(EventFrame):
    """A deal came a step further. A certificate has `decision` and the number of its votes."""

    type: Literal["deal_status"] = "deal_status"
    deal_id: str
    status: Literal["verifying", "certified", "submitted"]
    percent: Percent
    stage: Stage
    tx_hash: str | None = None
    decision: Decision | None = None
    votes: int | None = None


class DealCompletedFrame(EventFrame):
    """The chain has swapped item and payment."""

    type: Literal["deal_completed"] = "deal_completed"
    deal_id: str
    tx_hash: str
    block: int
    buyer: PartyBrief
    seller: PartyBrief
    nft: NftBrief
    price: Usdc
    price_micros: Micros


class DealFailedFrame(EventFrame):
    """A deal ended without a swap."""

    type: Literal["deal_failed"] = "deal_failed"
    deal_id: str
    reason: FailReason
    detail: str
    at_fault: tuple[str, ...] = Field(description="Ids of the agents whose doing it was")
    buyer_agent: AgentBrief
    seller_agent: AgentBrief
    nft: NftBrief


class VerifierAccusedFrame(EventFrame):
    """A verifier was shown to be faulty by what it signed."""

    type: Literal["verifier_accused"] = "verifier_accused"
    deal_id: str
    verifier: str
    kind: str


class RoomClosedFrame(EventFrame):
    """The room closed."""

    type: Literal["room_closed"] = "room_closed"
    reason: CloseReason


class PrivateFrame(EventFrame):
    """An event for its owner alone: only its number goes out."""

    type: Literal["private"] = "private"


AnyEventFrame = (
    RoomOpenedFrame
    | AgentJoinedFrame
    | AgentMessageFrame
    | UserMessageFrame
    | AgentStatusFrame
    | AgentLeftFrame
    | QuoteExpiredFrame
    | DealLockedFrame
    | DealStatusFrame
    | DealCompletedFrame
    | DealFailedFrame
    | VerifierAccusedFrame
    | RoomClosedFrame
    | PrivateFrame
)
RoomFrame = Annotated[AnyEventFrame, Field(discriminator="type")]
