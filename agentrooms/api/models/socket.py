"""What clients and sockets say to each other besides events: protocol `agentrooms.v1`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentrooms.api.models.base import Asked, Id, Micros, Time, Usdc, Wire
from agentrooms.api.models.frames import Percent, RoomFrame, Seq
from agentrooms.api.models.room_state import Figures, RoomState
from agentrooms.domain.posting import TEXT_CHARACTERS_MAX
from agentrooms.domain.progress import Stage

TOKEN_CHARACTERS_MAX = 4_096
SEQ_MAX = (1 << 53) - 1

MessageId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$", examples=["m1"])]


class Auth(Asked):
    """The first frame of who is signed in."""

    type: Literal["auth"]
    token: str = Field(min_length=1, max_length=TOKEN_CHARACTERS_MAX, description="An access token")


class Spectate(Asked):
    """The first frame of who only watches."""

    type: Literal["spectate"]


class JoinRoom(Asked):
    """Watch a room; with `after`, from behind the last event that the client has."""

    type: Literal["join_room"]
    room_id: Id
    after: Annotated[int, Field(strict=True, ge=0, le=SEQ_MAX)] | None = None
    log_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="`logId` of the client's events; of another log nothing is resumed"
    )


class LeaveRoom(Asked):
    """Watch a room no longer."""

    type: Literal["leave_room"]
    room_id: Id


class SendMessage(Asked):
    """Say something in a room. Sent again with the same `id` it is said once."""

    type: Literal["send_message"]
    room_id: Id
    message: str = Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)
    id: MessageId | None = None


class Ping(Asked):
    """Ask whether somebody is there."""

    type: Literal["ping"]
    id: MessageId | None = None


ClientMessage = Annotated[Auth | Spectate | JoinRoom | LeaveRoom | SendMessage | Ping, Field(discriminator="type")]


class Authenticated(Wire):
    """The token is good."""

    type: Literal["authenticated"] = "authenticated"
    user_id: str
    wallet_address: str
    expires_at: Time


class Spectating(Wire):
    """Nobody in particular watches."""

    type: Literal["spectating"] = "spectating"


class Joined(Wire):
    """The room is watched: the next event is `seq` + 1. `recovered`: what was missed since `after` follows.

    Otherwise there is a snapshot of the room after event `seq`, and `recent`, its last events as they were sent.
    """

    type: Literal["joined"] = "joined"
    room_id: str
    log_id: str
    head: int
    recovered: bool
    seq: int
    snapshot: RoomState | None = None
    recent: tuple[RoomFrame, ...] = ()


class Left(Wire):
    """The room is watched no longer."""

    type: Literal["left"] = "left"
    room_id: str


class Ack(Wire):
    """What was sent with `id` is done."""

    type: Literal["ack"] = "ack"
    id: str | None
    room_id: str


class Pong(Wire):
    """Somebody is there."""

    type: Literal["pong"] = "pong"
    id: str | None


class Error(Wire):
    """Something was not done. `code` is one of the problems' codes; `id` and `roomId` say of what."""

    type: Literal["error"] = "error"
    message: str
    code: str
    hint: str = ""
    id: str | None = None
    room_id: str | None = None


class Heartbeat(Wire):
    """The last event's number in each room that is watched: a client that has less asks again."""

    type: Literal["hb"] = "hb"
    head: dict[str, int]


class RoomStats(Figures):
    """A room's figures after its event `asOfSeq`. Only the newest is kept for a client that is slow."""

    type: Literal["room_stats"] = "room_stats"
    room_id: str
    as_of_seq: Seq


class DealVerifyingProgress(Wire):
    """How far a live deal is. Only the newest is kept for a client that is slow."""

    type: Literal["deal_verifying"] = "deal_verifying"
    room_id: str
    deal_id: str
    progress: Percent
    stage: Stage
    as_of_seq: Seq


class ProposedMandate(Wire):
    """The part of a mandate that the words name; the person chooses the rest and signs."""

    room_id: str
    starting_price: Usdc


class Confirm(Wire):
    """The request that makes a proposal more than words."""

    method: Literal["POST"] = "POST"
    path: Literal["/agents/mandate"] = "/agents/mandate"
    body: ProposedMandate


class Proposal(Wire):
    """A price found in one's own words, for nobody else to see. Nothing is bound by it."""

    type: Literal["proposal"] = "proposal"
    room_id: str
    price: Usdc
    price_micros: Micros
    text: str
    expires_at: Time
    confirm: Confirm


ServerMessage = Annotated[
    Authenticated
    | Spectating
    | Joined
    | Left
    | Ack
    | Pong
    | Error
    | Heartbeat
    | RoomStats
    | DealVerifyingProgress
    | Proposal,
    Field(discriminator="type"),
]
