"""One client's conversation (`agentrooms.v1`), whatever carries it: what it says, and what it is told."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from agentrooms.api.auth.principal import Principal
from agentrooms.api.limits import MINUTE_S, too_many
from agentrooms.api.models.base import Number, Wire, iso, micros, usdc
from agentrooms.api.models.socket import (
    Ack,
    Auth,
    Authenticated,
    ClientMessage,
    Confirm,
    Error,
    Heartbeat,
    JoinRoom,
    LeaveRoom,
    Left,
    Ping,
    Pong,
    Proposal,
    ProposedMandate,
    SendMessage,
    Spectate,
    Spectating,
)
from agentrooms.api.problems import Problem
from agentrooms.api.sockets.outbox import Close, Message, Outbox
from agentrooms.api.strict import decode
from agentrooms.domain.canonical import normalise
from agentrooms.domain.record import MESSAGES_A_MINUTE
from agentrooms.events.store import StoreError
from agentrooms.language.understanding import price_in
from agentrooms.projections.redis_stats import Session as Shown

if TYPE_CHECKING:
    from agentrooms.api.sockets.service import Sockets

ROOMS_MAX = 50  # that one client watches
FRAMES_A_MINUTE = 600  # that one client says
JOINS_A_MINUTE = 120  # of them: each may cost a snapshot
MALFORMED_MAX = 10  # of them that cannot be understood
SPEAKING_MAX = 4  # messages of one client on their way at once
PROPOSAL_S = 300  # how long a proposal is worth confirming
ERRORS_SHOWN = 3

Reply = Mapping[str, object]

log = logging.getLogger(__name__)
_MESSAGE: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


class Session:
    """A client: nobody yet, then a user or a spectator. `outbox` holds what it is to be sent."""

    def __init__(self, sockets: Sockets, address: str) -> None:
        self.id = secrets.token_hex(16)
        self.address = address
        self.outbox = Outbox()
        self.principal: Principal | None = None
        self.token = ""
        self.open = False
        self.signing_in = 0  # tokens that are being looked at
        self.rooms: dict[str, None] = {}
        self.closing_since_s: float | None = None
        self._sockets = sockets
        self._gone = False
        self._order = asyncio.Lock()
        self._speaking = 0
        self._malformed = 0
        self._said, self._joins, self._said_since_s = 0, 0, time.monotonic()
        self.connected_at_s = time.monotonic()
        self._connected_at_ms = time.time_ns() // 1_000_000

    async def hear(self, text: str) -> None:
        """Answers one frame of text."""
        if not self._may_say():
            return
        try:
            said = decode(text.encode())
            if isinstance(said, dict) and any(isinstance(value, Number) for value in said.values()):
                raise Problem(422, "no field is a number with a fraction")
        except Problem as error:
            self._misunderstood(error, None)
            return
        await self.answer(said)

    async def answer(self, said: object) -> Reply:
        """Does what a message asks; returns the reply, which is also sent. Never raises for what a client says."""
        id_ = said.get("id") if isinstance(said, dict) and isinstance(said.get("id"), str) else None
        try:
            message = _MESSAGE.validate_python(said)
        except ValidationError as error:
            return self._misunderstood(_wrong(error), id_)
        try:
            if isinstance(message, SendMessage):
                return await self._say(message)
            async with self._order:  # one after the other: who leaves a room has joined it before
                return await self._do(message)
        except Problem as error:
            return self._refuse(error, message)
        except StoreError:
            return self._refuse(Problem(503, "the database does not answer", hint="try again in a moment"), message)
        except Exception as error:  # noqa: BLE001 -- a mistake of ours must not end the conversation
            log.error("a socket message failed: %s", type(error).__name__, extra={"frame": message.type})  # noqa: TRY400
            return self._refuse(Problem(500, "a fault of this service"), message)

    def heard_too_much(self) -> bool:
        """Counts a message that did not come as text; returns whether it is one too many."""
        return not self._may_say()

    def beat(self) -> None:
        """Tells the client where its rooms are."""
        self._tell(Heartbeat(head=self._sockets.hub.heads(self.rooms)), "hb")

    def leave(self) -> None:
        """Ends the conversation: nothing is sent to it any more."""
        self._gone = True
        self.outbox.close(Close.TRY_LATER, "the client has gone")
        for room in self.rooms:
            self._sockets.hub.unwatch(room, self.outbox)
        self.rooms.clear()

    def shown(self) -> Shown:
        """Returns what presence shows of it."""
        user = self.principal.user if self.principal is not None else ""
        return Shown(user, next(reversed(self.rooms), ""), "", self._connected_at_ms)

    async def _do(self, message: ClientMessage) -> Reply:
        match message:
            case Auth():
                return await self._sign_in(message.token)
            case Spectate():
                return self._spectate()
            case Ping():
                return self._tell(Pong(id=message.id), "pong")
        if not self.open:
            raise Problem(401, "the first message is auth or spectate")
        match message:
            case JoinRoom():
                return await self._join(message)
            case LeaveRoom():
                return self._leave_room(message.room_id)
        raise AssertionError(message)

    async def _sign_in(self, token: str) -> Reply:
        self.signing_in += 1
        try:
            principal = await self._sockets.who(token)
        finally:
            self.signing_in -= 1
        if self._gone:
            raise Problem(408, "the client has gone")
        if self.principal is not None and principal.user != self.principal.user:
            raise Problem(403, "the connection is another user's", hint="open one of your own")
        if self.principal is None:
            self._sockets.admit_user(principal.user)
        self.principal, self.token, self.open = principal, token, True
        self._sockets.changed(self)
        at = iso(principal.expires_at_s * 1_000)
        return self._tell(
            Authenticated(user_id=principal.user, wallet_address=principal.wallet, expires_at=at), "authenticated"
        )

    def _spectate(self) -> Reply:
        if self.principal is not None:
            raise Problem(403, "the connection is signed in", hint="open another to spectate")
        self.open = True
        self._sockets.changed(self)
        return self._tell(Spectating(), "spectating")

    async def _join(self, message: JoinRoom) -> Reply:
        if message.room_id not in self.rooms and len(self.rooms) >= ROOMS_MAX:
            raise Problem(429, f"a connection watches {ROOMS_MAX} rooms at most", hint="leave one, or open another")
        self._joins += 1
        if self._joins > JOINS_A_MINUTE:
            raise Problem(429, f"more than {JOINS_A_MINUTE} joins in a minute", hint="stay in a room that is watched")
        await self.outbox.room()  # one snapshot, or what was missed of one room, waits at a time
        if message.room_id in self.rooms:  # joined again: as if for the first time
            del self.rooms[message.room_id]
            self._sockets.hub.unwatch(message.room_id, self.outbox)
        where = await self._sockets.hub.watch(message.room_id, self.outbox, message.after, message.log_id)
        if self._gone:
            self._sockets.hub.unwatch(message.room_id, self.outbox)
            return where
        self.rooms[message.room_id] = None
        self._sockets.changed(self)
        return where

    def _leave_room(self, room: str) -> Reply:
        if room not in self.rooms:
            raise Problem(404, "the room is not joined")
        del self.rooms[room]
        self._sockets.hub.unwatch(room, self.outbox)
        self._sockets.changed(self)
        return self._tell(Left(room_id=room), "left")

    async def _say(self, message: SendMessage) -> Reply:
        """Has the words said in the room, and proposes to the speaker alone what they may mean."""
        user = self.principal
        if user is None:
            raise Problem(401, "only who is signed in speaks", hint="say auth with an access token")
        text = normalise(message.message)
        if not text:
            raise Problem(422, "the message has no visible character")
        if self._speaking >= SPEAKING_MAX:
            raise Problem(429, f"{SPEAKING_MAX} messages are on their way already", hint="wait for an ack")
        self._speaking += 1
        try:
            taken = await self._sockets.limits.take_soon(f"speak:{user.user}", MESSAGES_A_MINUTE, MINUTE_S)
            if not taken.allowed:
                raise too_many(taken, f"more than {MESSAGES_A_MINUTE} messages in a minute")
            user = await self._sockets.who(self.token)  # who has logged out a moment ago speaks no more
            await self._sockets.say(user, message.room_id, text, message.id)
        finally:
            self._speaking -= 1
        reply = self._tell(Ack(id=message.id, room_id=message.room_id), "ack")
        price = price_in(text)
        if price is not None:
            self._tell(_proposal(message.room_id, price, text), "proposal")
        return reply

    def _may_say(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._said_since_s >= MINUTE_S:
            self._said, self._joins, self._said_since_s = 0, 0, now_s
        self._said += 1
        if self._said > FRAMES_A_MINUTE:
            self.outbox.close(Close.RATE_LIMITED, f"more than {FRAMES_A_MINUTE} frames in a minute")
        return self._said <= FRAMES_A_MINUTE

    def _misunderstood(self, problem: Problem, id_: str | None) -> Reply:
        self._malformed += 1
        reply = self._tell(Error(message=str(problem), code=problem.code, hint=problem.hint, id=id_), "error")
        if self._malformed >= MALFORMED_MAX:
            self.outbox.close(Close.MALFORMED, f"{MALFORMED_MAX} frames that are none of the protocol")
        return reply

    def _refuse(self, problem: Problem, message: ClientMessage) -> Reply:
        error = Error(
            message=str(problem),
            code=problem.code,
            hint=problem.hint,
            id=getattr(message, "id", None),
            room_id=getattr(message, "room_id", None),
        )
        reply = self._tell(error, "error")
        if problem.status == 401 and (self.principal is not None or not isinstance(message, SendMessage)):
            self.outbox.close(Close.UNAUTHORISED, problem.code)
        elif problem.status == 429 and isinstance(message, Auth):
            self.outbox.close(Close.RATE_LIMITED, "too many connections")
        return reply

    def _tell(self, model: Wire, type_: str) -> Reply:
        self.outbox.offer([Message.of(model, type_)])
        return model.model_dump(mode="json")


def _wrong(error: ValidationError) -> Problem:
    """Returns what is wrong with a message. No value of it is repeated."""
    shown = []
    for one in error.errors(include_input=False, include_context=False, include_url=False)[:ERRORS_SHOWN]:
        if one["type"] in {"union_tag_invalid", "union_tag_not_found", "model_attributes_type", "dict_type"}:
            shown.append("`type` is one of auth, spectate, join_room, leave_room, send_message, ping")
        else:
            where = ascii(".".join(str(part)[:40] for part in one["loc"][1:])).strip("'")
            shown.append(f"{where}: {one['msg']}")
    return Problem(422, "; ".join(shown), hint="see /asyncapi.json for what is expected")


def _proposal(room: str, price_usdc_micros: int, text: str) -> Proposal:
    price = usdc(price_usdc_micros)
    return Proposal(
        room_id=room,
        price=price,
        price_micros=micros(price_usdc_micros),
        text=text,
        expires_at=iso(time.time_ns() // 1_000_000 + PROPOSAL_S * 1_000),
        confirm=Confirm(body=ProposedMandate(room_id=room, starting_price=price)),
    )
