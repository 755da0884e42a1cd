"""Who may say what over /ws: every message as nobody yet, a spectator, users, an admin, and with tokens that are bad."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from agentrooms.api.models.socket import ClientMessage
from tests.api.market import Market, market_in

WAIT_S = 30
UNAUTHORISED = 4401
STATES = ("nobody", "spectator", "other", "owner", "admin")
USERS = frozenset({"other", "owner", "admin"})
NOT_YET = "not_signed_in, closed"

SAYS: dict[str, dict[str, str]] = {
    # message -> what is answered to nobody yet, to a spectator, and to users (who may all do the same here)
    "auth": {"nobody": "authenticated", "spectator": "authenticated", "users": "authenticated"},
    "spectate": {"nobody": "spectating", "spectator": "spectating", "users": "forbidden"},
    "join_room": {"nobody": NOT_YET, "spectator": "joined", "users": "joined"},
    "leave_room": {"nobody": NOT_YET, "spectator": "not_found", "users": "not_found"},
    "send_message": {"nobody": "not_signed_in", "spectator": "not_signed_in", "users": "ack"},
    "ping": {"nobody": "pong", "spectator": "pong", "users": "pong"},
    "order_pizza": {"nobody": "invalid", "spectator": "invalid", "users": "invalid"},  # there is no such message
}


class Socket:
    """A connection of somebody."""

    def __init__(self, market: Market, socket: ClientConnection, state: str) -> None:
        self.market, self.socket, self.state = market, socket, state
        self.frames: list[dict[str, Any]] = []
        if state == "spectator":
            assert self.ask({"type": "spectate"}) == "spectating"
        elif state in USERS:
            assert self.ask({"type": "auth", "token": self.token}) == "authenticated"

    @property
    def token(self) -> str:
        """The access token of who this is; of anybody's when it is nobody."""
        person = self.market.people[self.state if self.state in USERS else "other"]
        return person.headers["Authorization"].removeprefix("Bearer ")

    def message(self, type_: str) -> dict[str, Any]:
        """A message of a type as this person would say it."""
        room = {"roomId": self.market.room}
        fields: dict[str, dict[str, Any]] = {
            "auth": {"token": self.token},
            "join_room": room,
            "leave_room": room,
            "send_message": {**room, "message": f"{self.state} takes 48.25 USDC"},
        }
        return {"type": type_, **fields.get(type_, {})}

    def ask(self, message: dict[str, Any]) -> str:
        """What is answered, in a word; with `, closed` when that was the last."""
        self.socket.send(json.dumps(message))
        while True:
            frame = self.hear()
            if frame["type"] not in {"hb", "room_stats", "proposal"} and ("seq" not in frame or "head" in frame):
                break
        if frame["type"] != "error":
            return str(frame["type"])
        return f"{frame['code']}, closed" if self._is_closed() else str(frame["code"])

    def hear(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.socket.recv(timeout=WAIT_S))
        self.frames.append(frame)
        return frame

    def _is_closed(self) -> bool:
        """Whether the server ends it; asks for a pong, so that a connection that goes on says so."""
        try:
            self.socket.send('{"type":"ping","id":"still-there"}')
            while self.hear() != {"type": "pong", "id": "still-there"}:
                pass
        except ConnectionClosed as error:
            return error.rcvd is not None and error.rcvd.code == UNAUTHORISED
        return False


def address_of(market: Market) -> str:
    """Where sockets connect to."""
    return market.url.replace("http", "ws", 1) + "/ws"


@pytest.fixture(scope="module")
def market(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market_in(postgres_dsn, redis_url, tmp_path_factory.mktemp("sockets")) as made:
        yield made


@pytest.fixture
def visit(market: Market) -> Iterator[Callable[[str], Socket]]:
    """Makes connections that are closed in the end."""
    with ExitStack() as ends:

        def make(state: str) -> Socket:
            return Socket(market, ends.enter_context(connect(address_of(market), max_size=None)), state)

        yield make


def test_every_message_has_a_row() -> None:
    schema = TypeAdapter(ClientMessage).json_schema()
    assert set(schema["discriminator"]["mapping"]) | {"order_pizza"} == set(SAYS)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("type_", SAYS)
def test_each_message_is_answered_to_who_may_say_it(
    market: Market, visit: Callable[[str], Socket], state: str, type_: str
) -> None:
    socket = visit(state)
    before = market.state()
    answered = socket.ask(socket.message(type_))
    assert answered == SAYS[type_]["users" if state in USERS else state]
    if type_ != "send_message" or state not in USERS:
        assert market.state() == before
    if state != "owner":
        assert market.leaks(json.dumps(socket.frames).encode()) == set()


def test_a_bad_token_is_told_and_the_connection_ends(market: Market, visit: Callable[[str], Socket]) -> None:
    for what, (token, code) in market.bad_tokens.items():
        for state in ("nobody", "spectator", "owner"):
            socket = visit(state)
            assert socket.ask({"type": "auth", "token": token}) == f"{code}, closed", what
            assert token not in json.dumps(socket.frames)


def test_a_token_in_the_address_signs_nobody_in(market: Market, visit: Callable[[str], Socket]) -> None:
    token = visit("owner").token
    address = f"{address_of(market)}?token={token}&access_token={token}"
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"refreshToken={token}; token={token}"}
    with connect(address, additional_headers=headers) as socket:
        socket.send(json.dumps({"type": "join_room", "roomId": market.room}))
        assert json.loads(socket.recv(timeout=WAIT_S))["code"] == "not_signed_in"


def test_a_connection_stays_its_users(visit: Callable[[str], Socket]) -> None:
    owner, other = visit("owner"), visit("other")
    assert other.ask({"type": "auth", "token": owner.token}) == "forbidden"
    assert other.ask(other.message("join_room")) == "joined"


def test_what_one_is_proposed_and_answered_nobody_else_hears(market: Market, visit: Callable[[str], Socket]) -> None:
    watchers = [visit(state) for state in ("spectator", "other", "admin")]
    owner = visit("owner")
    for one in (*watchers, owner):
        assert one.ask(one.message("join_room")) == "joined"
    assert owner.ask({"type": "send_message", "roomId": market.room, "message": "I give 47.75", "id": "mine"}) == "ack"
    while owner.frames[-1]["type"] != "proposal":
        owner.hear()
    assert owner.frames[-1]["priceMicros"] == "47750000"
    for one in watchers:
        while one.hear()["type"] != "user_message":
            pass
        assert one.ask({"type": "ping"}) == "pong"
        assert not {frame["type"] for frame in one.frames} & {"proposal", "ack"}
        assert market.leaks(json.dumps(one.frames).encode()) == set()
