"""What nobody sends by mistake: each gets an answer that says what is wrong, and nothing comes of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agentrooms.api import openapi, strict
from agentrooms.api.app import rest_app
from tests.api.hostile import (
    AMOUNTS,
    BODIES,
    CURSORS,
    IDS,
    MAILS,
    NAMES,
    NOT_HTTP,
    QUERIES,
    SECRET,
    TARGETS,
    WEBHOOKS,
    encoded,
    place_of,
    raw,
    refused,
    wire,
)
from tests.api.market import Market, market_in
from tests.api.system import ORIGIN

DOCUMENT = openapi.document(rest_app(None).routes, ORIGIN)
OPERATIONS = [(method.upper(), path, one) for path, method, one in openapi.operations(DOCUMENT)]
WRITES = [(method, path) for method, path, one in OPERATIONS if "requestBody" in one]
ADMINS = {"/rooms", "/rooms/{id}"}  # what others ask for there is refused before it is read
OPTIONAL_BODY = {"/auth/refresh", "/auth/logout"}  # whose fields may all be left out
WITH_CURSOR = [
    path
    for method, path, one in OPERATIONS
    if method == "GET" and any(parameter["name"] == "cursor" for parameter in one.get("parameters", ()))
]
WITH_ID = [(method, path) for method, path, _one in OPERATIONS if "{id}" in path]
PRICE = "maxPrice"


@pytest.fixture(scope="module")
def market(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market_in(postgres_dsn, redis_url, tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.fixture
def unchanged(market: Market) -> Iterator[None]:
    """Makes sure that a test leaves no trace."""
    before = market.state()
    yield
    assert market.state() == before


def post(market: Market, path: str, content: Any, media_type: str = "application/json") -> httpx.Response:
    headers = {**market.owner.headers, "Content-Type": media_type}
    return market.http.post(path, content=content, headers=headers)


def agent_with(market: Market, field: str, written: str) -> bytes:
    """The body of a draft in which a field is written as it stands there."""
    whole = market.asked_agent()
    whole[field] = "@here@"
    return json.dumps(whole).replace('"@here@"', written).encode()


# --- Bodies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.usefixtures("unchanged")
def test_a_body_that_is_none(market: Market, method: str, path: str) -> None:
    person = market.admin if path in ADMINS else market.owner
    headers = {**person.headers, "Content-Type": "application/json"}
    for content, statuses in BODIES:
        if path not in OPTIONAL_BODY or content not in {b"", b"null"}:  # a body may be left out there
            answer = market.http.request(method, path.replace("{id}", "x"), content=content, headers=headers)
            refused(answer, *statuses)


@pytest.mark.parametrize(
    "written",
    AMOUNTS,
)
@pytest.mark.usefixtures("unchanged")
def test_an_amount_that_is_none(market: Market, written: str) -> None:
    problem = refused(post(market, "/agents/mandate", agent_with(market, PRICE, written)), 400, 422)
    assert "\ud800" not in json.dumps(problem, ensure_ascii=False)


@pytest.mark.parametrize("written", ["4817.5", "1e2", "-1", "true", '"5"', str(2**63), str(-(2**70)), "1.0"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/swarms/spawn", '{"buyers":@,"sellers":1}'),
        ("/swarms/spawn", '{"preset":"small_test","seed":@}'),
        ("/swarms/spawn", '{"preset":"small_test","speed":@}'),
        ("/runs", '{"preset":"small_test","seed":@}'),
        ("/runs/x/fork", '{"at":@,"changes":["x"]}'),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_whole_number_that_is_none(market: Market, path: str, body: str, written: str) -> None:
    target = path.replace("/x/", f"/{'run_4q7rx2l3vnk5e'}/")
    refused(post(market, target, body.replace("@", written)), 400, 404, 409, 422)


@pytest.mark.parametrize("what", NAMES)
@pytest.mark.usefixtures("unchanged")
def test_a_text_that_is_not_to_be_shown(market: Market, what: str) -> None:
    text = NAMES[what]
    written = json.dumps(text)
    for field in ("name", "avatar"):
        answer = post(market, "/agents/mandate", agent_with(market, field, written))
        refused(answer, 400, 422, without=text.strip() if len(text) > 4 else "")
    said = post(market, f"/rooms/{market.room}/messages", f'{{"message":{written}}}'.encode())
    refused(said, 400, 422)
    headers = {**market.admin.headers, "Content-Type": "application/json"}
    for body in (f'{{"name":{written}}}', f'{{"name":"Fine","collectionName":{written}}}'):
        refused(market.http.post("/rooms", content=body.encode(), headers=headers), 400, 422)


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "", "x"],
)
@pytest.mark.usefixtures("unchanged")
def test_a_body_of_another_type(market: Market, media_type: str) -> None:
    body = json.dumps(market.asked_agent()).encode()
    refused(post(market, "/agents/mandate", body, media_type), 415, 422)


@pytest.mark.usefixtures("unchanged")
def test_a_field_too_many_is_named_and_nothing_of_it_repeated(market: Market) -> None:
    body = {**market.asked_agent(), "limit": 4_817.23, "x" * 3_000: 4_817.23, "\u202e": 1}
    problem = refused(market.http.post("/agents/mandate", json=body, headers=market.owner.headers), 422)
    assert "limit" in problem["detail"]
    assert problem["detail"].isascii()
    assert problem["detail"].isprintable()


# --- Addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), WITH_ID)
@pytest.mark.usefixtures("unchanged")
def test_an_id_that_is_none(market: Market, method: str, path: str) -> None:
    bodies: dict[str, Any] = {
        "PATCH /rooms/{id}": {"action": "close"},
        "POST /rooms/{id}/messages": {"message": "Hi"},
        "PATCH /agents/{id}": {"action": "pause"},
        "PATCH /swarms/{id}": {"action": "pause"},
        "POST /runs/{id}/fork": {"at": 5, "changes": ["x"]},
    }
    for id_ in IDS:
        target = path.replace("{id}", id_)
        statuses, body = raw(market, method, target, bodies.get(f"{method} {path}"))
        assert statuses in {404, 405, 414, 422}, (id_, statuses, body)
        assert b"problem" in body or statuses == 414, (id_, body)


@pytest.mark.parametrize(
    "target",
    TARGETS,
)
@pytest.mark.usefixtures("unchanged")
def test_a_path_that_leads_nowhere(market: Market, target: str) -> None:
    status, answer = raw(market, "GET", target)
    assert 300 <= status < 500, (status, answer[:300])
    assert b"import" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "query",
    QUERIES,
)
@pytest.mark.usefixtures("unchanged")
def test_a_query_that_is_none(market: Market, query: str) -> None:
    status, answer = raw(market, "GET", f"/deals?{query}")
    assert status == 422, (status, answer)
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("query", ["", "limit=5", "limit=5&something=else&%00=%ff&__proto__=x", "&&&=&", "a" * 4_000])
def test_what_a_query_holds_beside_is_not_looked_at(market: Market, query: str) -> None:
    plain = market.http.get("/deals", params={"limit": "5"}).json()
    status, answer = raw(market, "GET", f"/deals?{query}")
    assert status == 200
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == plain


@pytest.mark.parametrize("path", WITH_CURSOR)
@pytest.mark.usefixtures("unchanged")
def test_a_forged_cursor_is_refused_or_is_a_page(market: Market, path: str) -> None:
    target = path.replace("{id}", market.agent)
    for cursor in CURSORS:
        answer = market.http.get(target, params={"cursor": cursor}, headers=market.owner.headers)
        assert answer.status_code in {200, 422}, (cursor, answer.text)
        if answer.status_code == 422:
            refused(answer)


# --- Headers, methods, and the bare wire -----------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer " + "x" * 30_000},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": "Bearer a b"},
        {"Authorization": "Bearer \x80\xff"},
        {"Authorization": "Bearer ..", "Idempotency-Key": "x"},
        {"Authorization": "Basic bWU6NDgxNw=="},
        {"Authorization": "\x01"},
    ],
    ids=range(8),
)
@pytest.mark.usefixtures("unchanged")
def test_an_authorization_that_is_none(market: Market, headers: dict[str, str]) -> None:
    raw_headers = {name: value.encode("latin-1") for name, value in headers.items()}
    status, answer = raw(market, "POST", "/agents/mandate", market.asked_agent(), raw_headers)
    assert status in {400, 401}, answer
    assert SECRET.encode() not in answer


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "x" * 20_000, "a b", "\u00e9", "a\tb", "\x7f"])
@pytest.mark.usefixtures("unchanged")
def test_an_idempotency_key_that_is_none(market: Market, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1"), **encoded(market.owner.headers)}
    body = json.dumps({"message": "Hi"}).encode()
    status, answer = raw(market, "POST", f"/rooms/{market.room}/messages", body, headers)
    assert status in {400, 422}, answer


@pytest.mark.parametrize(
    "lines",
    NOT_HTTP,
    ids=range(15),
)
@pytest.mark.usefixtures("unchanged")
def test_what_is_not_http(market: Market, lines: bytes) -> None:
    answer = wire(market, lines, ends=True)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), answer[:200]
    assert b"\r\nSet-Cookie" not in answer
    assert market.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", "PROPFIND", "HEAD", "PUT", "DELETE", "get", "X" * 200, "OPTIONS"]
)
@pytest.mark.usefixtures("unchanged")
def test_a_method_that_is_none(market: Market, method: str) -> None:
    status, answer = raw(market, method, "/rooms")
    assert status in {400, 404, 405}, answer
    if status == 405 and method != "HEAD":
        assert b"application/problem+json" in answer


def test_a_method_in_a_header_is_not_taken(market: Market) -> None:
    headers = {**market.owner.headers, "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
    assert market.http.get(f"/agents/{market.agent}", headers=headers).json()["agent"]["leftAt"] is None


def test_a_request_id_that_could_break_lines_is_not_taken(market: Market) -> None:
    for given in ("x", "a" * 65, "ab cd efgh", "<script>1</script>", "4817.23%0a"):
        assert market.http.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"] != given


@pytest.mark.usefixtures("unchanged")
def test_a_slow_body_is_given_up(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict, "BODY_S", 0.2)
    head = b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 1000\r\n"
    head += b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in encoded(market.owner.headers).items())
    answer = wire(market, head + b"\r\n{", ends=False)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"too_slow"' in answer


@pytest.mark.usefixtures("unchanged")
def test_a_body_that_is_cut_ends_nothing(market: Market) -> None:
    with socket.create_connection(place_of(market)) as connection:
        connection.sendall(b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
    assert market.http.get("/healthz").status_code == 200


# --- Where a webhook may not go --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    WEBHOOKS,
)
@pytest.mark.usefixtures("unchanged")
def test_a_webhook_to_where_none_may_go(market: Market, url: str) -> None:
    answer = market.http.post("/me/webhooks", json={"url": url}, headers=market.owner.headers)
    assert refused(answer, 422)["code"] == "invalid"


@pytest.mark.parametrize(
    "address",
    MAILS,
)
@pytest.mark.usefixtures("unchanged")
def test_a_mail_address_that_is_none(market: Market, address: str) -> None:
    answer = market.http.put("/me/email", json={"address": address}, headers=market.owner.headers)
    refused(answer, 400, 422)
