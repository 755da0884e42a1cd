"""Who may do what: every operation of the OpenAPI document and every message of the sockets, as everybody there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from agentrooms.api import openapi
from agentrooms.api.app import rest_app
from agentrooms.api.routes import ROUTERS
from tests.api.market import HOOK, LIMIT, MAIL, Market, market_in
from tests.api.system import ORIGIN, bearer
from tests.api.trading import buyer
from tests.domain.samples import wallet, wallet_key

Asked = Callable[[Market, str], Any]


class Who(StrEnum):
    """Who may, in the order nobody, another user, its owner, an admin."""

    ANYBODY = "anybody"
    SIGNED_IN = "who is signed in"
    OWNER = "its owner; others are refused"
    OWN = "its owner; to others it is not there"
    ADMIN = "admins"


REFUSED = {
    Who.ANYBODY: {},
    Who.SIGNED_IN: {"nobody": 401},
    Who.OWNER: {"nobody": 401, "other": 403, "admin": 403},
    Who.OWN: {"nobody": 401, "other": 404, "admin": 404},
    Who.ADMIN: {"nobody": 401, "other": 403, "owner": 403},
}


@dataclass(frozen=True)
class Row:
    """Who may, how it is asked for, and what they get. `id`, `body`: of the market and for a person by name."""

    who: Who
    status: int = 200
    id: Asked = lambda _market, _name: ""
    body: Asked = lambda _market, _name: None
    query: str = ""


def of(name: str) -> Asked:
    """Something of the market's."""
    return lambda market, _name: getattr(market, name)


def same(body: Any) -> Asked:
    """The same for everybody."""
    return lambda _market, _name: body


def refresh_token(market: Market, _name: str) -> dict[str, str]:
    return {"refreshToken": market.new_refresh_token()}


def signed_challenge(market: Market, name: str) -> dict[str, str]:
    """A text that a stranger's wallet has signed."""
    from eth_account import Account
    from eth_account.messages import encode_defunct

    stranger = f"stranger of {name}"
    made = market.home.sign_in.challenge(wallet(stranger))
    signature = Account.sign_message(encode_defunct(text=made.message), wallet_key(stranger)).signature.to_0x_hex()
    return {"walletAddress": wallet(stranger), "nonce": made.nonce, "signature": signature}


ANYBODY, SIGNED_IN, OWNER, OWN, ADMIN = Who

WHO_MAY: dict[str, Row] = {
    # sign-in: who has a wallet or a refresh token
    "challenge": Row(ANYBODY, body=lambda _m, name: {"walletAddress": wallet(f"stranger of {name}")}),
    "verify": Row(ANYBODY, body=signed_challenge),
    "refresh": Row(ANYBODY, body=refresh_token),
    "logout": Row(ANYBODY, body=refresh_token),
    "me": Row(SIGNED_IN),
    # rooms
    "listRooms": Row(ANYBODY),
    "openRoom": Row(ADMIN, 201, body=same({"name": "Another"})),
    "getRoom": Row(ANYBODY, id=of("room")),
    "closeRoom": Row(ADMIN, id=of("doomed_room"), body=same({"action": "close"})),
    "getRoomStats": Row(ANYBODY, id=of("room")),
    "getRoomHistory": Row(ANYBODY, id=of("room")),
    "listRoomEvents": Row(ANYBODY, id=of("room"), query="limit=1000"),
    "getRoomState": Row(ANYBODY, id=of("room")),
    "sendMessage": Row(SIGNED_IN, 201, id=of("room"), body=same({"message": "Good evening."})),
    # agents
    "draftMandate": Row(SIGNED_IN, 201, body=lambda market, _name: buyer(market.room)),
    "spawnAgent": Row(OWN, 201, body=of("draft")),
    "listAgents": Row(ANYBODY, query="limit=100"),
    "listMyAgents": Row(SIGNED_IN),
    "getAgent": Row(ANYBODY, id=of("agent")),
    "getAgentHistory": Row(ANYBODY, id=of("agent")),
    "steerAgent": Row(OWNER, id=of("agent"), body=same({"action": "pause"})),
    "removeAgent": Row(OWNER, id=of("doomed_agent")),
    "listReasons": Row(OWNER, id=of("agent")),
    # swarms
    "spawnSwarm": Row(SIGNED_IN, 201, body=same({"buyers": 1, "sellers": 1, "seed": 3})),
    "listSwarms": Row(ANYBODY),
    "getSwarm": Row(ANYBODY, id=of("swarm")),
    "steerSwarm": Row(OWNER, id=of("swarm"), body=same({"action": "pause"})),
    "getSwarmAnalytics": Row(ANYBODY, id=of("swarm")),
    "exportSwarm": Row(SIGNED_IN, id=of("swarm")),
    # deals and items
    "listMyDeals": Row(SIGNED_IN),
    "listDeals": Row(ANYBODY),
    "getDeal": Row(ANYBODY, id=of("deal")),
    "getCertificate": Row(ANYBODY, id=of("deal")),
    "listNfts": Row(ANYBODY),
    "getNft": Row(ANYBODY, id=of("item")),
    "getNftImage": Row(ANYBODY, 404, id=of("item")),  # the demo's items have no pictures
    "verifyOwnership": Row(ANYBODY, body=lambda m, _name: {"nftId": m.item, "walletAddress": m.owner.wallet}),
    # one's own wallet
    "getChain": Row(ANYBODY),
    "getApprovals": Row(SIGNED_IN, query="amount=50"),
    "permitTransaction": Row(SIGNED_IN, 409, body=same({"amount": 50, "signature": "0x" + "5a" * 65})),  # a ledger
    "getCancellation": Row(SIGNED_IN),
    "fundWallet": Row(SIGNED_IN, 409),  # all three have got it already
    # one's own account
    "getDashboard": Row(SIGNED_IN),
    "getPortfolio": Row(SIGNED_IN),
    "listNotifications": Row(SIGNED_IN),
    "readNotifications": Row(SIGNED_IN, body=same({})),
    "listWebhooks": Row(SIGNED_IN),
    "addWebhook": Row(SIGNED_IN, 201, body=lambda _m, name: {"url": f"https://hooks.example.org/{name}"}),
    "removeWebhook": Row(OWN, id=of("doomed_webhook")),
    "testWebhook": Row(OWN, id=of("webhook")),
    "getEmail": Row(SIGNED_IN),
    "setEmail": Row(SIGNED_IN, body=lambda _m, name: {"address": MAIL if name == "owner" else f"{name}@example.org"}),
    "confirmEmail": Row(SIGNED_IN, 422, body=same({"code": "000000"})),  # not the code that was mailed
    "exportAccount": Row(SIGNED_IN),
    "eraseAccount": Row(SIGNED_IN),
    # runs
    "listRuns": Row(SIGNED_IN),
    "startRun": Row(SIGNED_IN, 201, body=same({"buyers": 1, "sellers": 1, "seed": 9})),
    "getRun": Row(SIGNED_IN, id=of("run")),
    "getRunEvents": Row(SIGNED_IN, id=of("run")),
    "forkRun": Row(SIGNED_IN, 201, id=of("run"), body=same({"at": 5, "changes": ["agent.x.removed=true"]})),
    # operations
    "getHealth": Row(ANYBODY),
    "getReadiness": Row(ANYBODY, 503),  # nothing of the test's system says that it is alive
    "getMetrics": Row(ANYBODY),
}

DOCUMENT = openapi.document(rest_app(None).routes, ORIGIN)
OPERATIONS = {one["operationId"]: (path, method, one) for path, method, one in openapi.operations(DOCUMENT)}
UNDESCRIBED = {  # open to everybody: descriptions and their pages
    "/openapi.json",
    "/asyncapi.json",
    "/api/docs",
    "/api/docs/sockets",
    "/api/docs/openapi.json",
    "/api/docs/{name}",
}
MAYBE = {"getAgent"}  # anybody may ask, and its owner sees more
LEAVING = {"eraseAccount", "logout"}  # are asked for in sessions of their own: the others are still needed


@pytest.fixture(scope="module")
def market(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market_in(postgres_dsn, redis_url, tmp_path_factory.mktemp("authorisation")) as made:
        assert made.run  # before any other that would be made first
        yield made


def test_every_operation_has_a_row() -> None:
    assert WHO_MAY.keys() == OPERATIONS.keys()
    described = {path for path, _method, _one in OPERATIONS.values()}
    routes = {route.path for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)}
    assert routes - described == UNDESCRIBED


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_description_says_who_must_be_signed_in(operation: str) -> None:
    security = OPERATIONS[operation][2].get("security", [])
    assert ({"bearer": []} in security) == (
        operation in MAYBE | {"logout"} or WHO_MAY[operation].who is not Who.ANYBODY
    )
    assert (security == [{"bearer": []}]) == (WHO_MAY[operation].who is not Who.ANYBODY)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_only_who_may_gets_it_and_nobody_else_changes_or_learns_anything(market: Market, operation: str) -> None:
    row = WHO_MAY[operation]
    refused = REFUSED[row.who]
    for name, status in sorted(refused.items()):
        asked = prepared(market, operation, name)
        before = market.state()
        answer = ask(market, asked, headers_of(market, operation, name))
        check(market, answer, status, name)
        assert market.state() == before, name
    for name in ("nobody", "other", "admin", "owner"):
        if name not in refused:
            answer = ask(market, prepared(market, operation, name), headers_of(market, operation, name))
            check(market, answer, row.status, name)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bad_token_is_refused_wherever_a_token_is_read(market: Market, operation: str) -> None:
    row = WHO_MAY[operation]
    if row.who is Who.ANYBODY and operation not in MAYBE:
        token, _code = market.bad_tokens["expired"]
        answer = ask(market, prepared(market, operation, "nobody"), bearer(token))
        check(market, answer, row.status, "nobody")  # as anybody: it is not looked at
        return
    asked, bad_tokens = prepared(market, operation, "owner"), market.bad_tokens
    before = market.state()
    for what, (token, code) in bad_tokens.items():
        answer = ask(market, asked, bearer(token))
        check(market, answer, 401, what)
        assert (answer.json()["code"], answer.headers["www-authenticate"]) == (code, "Bearer"), what
        assert token not in answer.text
    assert market.state() == before


def test_a_token_is_taken_from_its_header_alone(market: Market) -> None:
    token = market.owner.headers["Authorization"].removeprefix("Bearer ")
    elsewhere: list[dict[str, Any]] = [
        {"params": {"access_token": token}},
        {"params": {"token": token}},
        {"headers": {"Cookie": f"accessToken={token}; refreshToken={token}; Authorization=Bearer {token}"}},
        {"headers": {"X-Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": f"Basic {token}"}},
        {"headers": {"Authorization": token}},
    ]
    for place in elsewhere:
        assert market.http.get("/auth/me", **place).status_code == 401, place
    assert market.http.get("/auth/me", headers=market.owner.headers).status_code == 200


def test_the_owner_does_see_what_others_do_not(market: Market) -> None:
    own = market.http.get(f"/agents/{market.agent}", headers=market.owner.headers)
    assert own.json()["agent"]["mandate"]["maxPrice"] == LIMIT
    assert market.leaks(own.content) == {"limit"}
    for name in ("nobody", "other", "admin"):
        seen = market.http.get(f"/agents/{market.agent}", headers=market.people[name].headers).json()["agent"]
        assert seen == {**own.json()["agent"], "mandate": None}
    whole = market.http.get("/me/export", headers=market.owner.headers)
    assert market.leaks(whole.content) == {"limit", "e-mail", "webhook"}
    assert HOOK in whole.text


def prepared(market: Market, operation: str, name: str) -> tuple[str, str, Any]:
    """Method, path and body of a request for an operation."""
    path, method, _one = OPERATIONS[operation]
    row = WHO_MAY[operation]
    target = path.replace("{id}", row.id(market, name)) + (f"?{row.query}" if row.query else "")
    return method.upper(), target, row.body(market, name)


def headers_of(market: Market, operation: str, name: str) -> dict[str, str]:
    """The headers of a person; who leaves is somebody of whom nothing else is needed."""
    if operation in LEAVING and name != "nobody":
        return bearer(market.home.sign_in.start(wallet(f"leaving {name}")).access_token)
    return market.people[name].headers


def ask(market: Market, asked: tuple[str, str, Any], headers: dict[str, str]) -> httpx.Response:
    method, path, body = asked
    return market.http.request(method, path, json=body, headers=headers)


def check(market: Market, answer: httpx.Response, status: int, who: str) -> None:
    """It is the right answer, and to all but the owner it says nothing of theirs."""
    assert answer.status_code == status, (who, answer.text)
    if status >= 400 and "problem" in answer.headers["content-type"]:
        assert answer.json()["status"] == status
    if who != "owner":
        assert market.leaks(answer.content) == set(), who
