"""What nobody sends by mistake: each gets an answer that says what is wrong, and nothing comes of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from agentrooms.api import openapi, strict
from agentrooms.api.app import rest_app
from agentrooms.api.reading import cursor_of
from agentrooms.api.strict import BODY_BYTES_MAX
from tests.api.market import Market, market_in
from tests.api.system import ORIGIN

DOCUMENT = openapi.document(rest_app(None).routes, ORIGIN)
OPERATIONS = [(method.upper(), path, one) for path, method, one in openapi.operations(DOCUMENT)]
WRITES = [(method, path) for method, path, one in OPERATIONS if "requestBody" in one]
OPTIONAL_BODY = {"/auth/refresh", "/auth/logout"}  # whose fields may all be left out
WITH_CURSOR = [
    path
    for method, path, one in OPERATIONS
    if method == "GET" and any(parameter["name"] == "cursor" for parameter in one.get("parameters", ()))
]
WITH_ID = [(method, path) for method, path, _one in OPERATIONS if "{id}" in path]
PRICE = "maxPrice"
SECRET = "4817"  # stands in all values that may be limits
WAIT_S = 30


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


def refused(answer: httpx.Response, *statuses: int, without: str = SECRET) -> dict[str, Any]:
    """It is a clear problem of the sender's, which repeats nothing of what was sent; returns it."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert answer.status_code in statuses or not statuses, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert problem["code"]
    assert problem["detail"] == problem["message"]
    assert len(answer.content) < 2_000
    assert not without or without not in answer.text, answer.text
    assert "Traceback" not in answer.text
    assert "x-request-id" in answer.headers
    return problem


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
@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (b"", (400, 422)),
        (b"{", (400,)),
        (b"[]", (422,)),
        (b"null", (422,)),
        (b'"4817"', (422,)),
        (b"4817.23", (422,)),
        (b'{"x":4817.23}', (422,)),
        (b"\xff\xfe{}", (400,)),
        (b"\xef\xbb\xbf{}", (400,)),
        (b'{"a":"\xc3\x28"}', (400,)),
        (b'{"a":1,"a":4817}', (400,)),
        (b'{"a":NaN}', (400,)),
        (b'{"a":-Infinity}', (400,)),
        (b'{"a":1e400}', (400,)),
        (b"[" * 100_000, (400, 413)),
        (b'{"a":' * 30_000, (400, 413)),
        (b'{"a":' + b"9" * 5_000 + b"}", (400,)),
        (b'{"a":"' + b"x" * BODY_BYTES_MAX + b'"}', (413,)),
        (b" " * 1_000_000, (413,)),
    ],
    ids=range(19),
)
@pytest.mark.usefixtures("unchanged")
def test_a_body_that_is_none(market: Market, method: str, path: str, content: bytes, statuses: tuple[int, ...]) -> None:
    if path in OPTIONAL_BODY and content in {b"", b"null"}:
        return  # a body may be left out there
    target = path.replace("{id}", "x")
    headers = {**market.owner.headers, "Content-Type": "application/json"}
    if path == "/rooms" or (path == "/rooms/{id}" and method == "PATCH"):
        headers = {**headers, **market.admin.headers}
    answer = market.http.request(method, target, content=content, headers=headers)
    refused(answer, *statuses)


@pytest.mark.parametrize(
    "written",
    [
        "1e400",
        "4.81723e3",
        "4817e0",
        "-0",
        "-4817.23",
        "+4817.23",
        "0x4817",
        "4_817",
        "04817.23",
        "4817.230",
        "4817.255",
        ".4817",
        "4817.",
        "NaN",
        "Infinity",
        "-Infinity",
        "99999999999999999999999",
        "4817" + "0" * 4_000,
        "true",
        "null",
        "[4817.23]",
        '{"amount":4817.23}',
        '""',
        '" 4817.23"',
        '"4817.23 "',
        '"4817,23"',
        '"4,817.23"',
        '"\\u0664\\u0668\\u0661\\u0667"',
        '"\\uff14817.23"',
        '"4817.23\\u0000"',
        '"-4817.23"',
        '"4817.230"',
        '"4.81723e3"',
        '"NaN"',
        '"\\ud800"',
        "0",
        "0.00",
        "0.001",
        "100000000.01",
    ],
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


NAMES = {
    "nothing": "",
    "blanks": "   ",
    "outer blanks": " Ada ",
    "a line break": "Ada\nBob",
    "a tab": "Ada\tBob",
    "zero": "Ada\0",
    "an escape": "Ada\x1b[31m",
    "a delete": "Ada\x7f",
    "a control of the second set": "Ada\x85",
    "right to left": "Ada\u202egnp.exe",
    "an isolate": "Ada\u2066x\u2069",
    "zero width": "A\u200bda",
    "a byte order mark": "\ufeffAda",
    "a soft hyphen": "A\u00adda",
    "a lone surrogate": "Ada\ud800",
    "another lone surrogate": "\udfffAda",
    "a line separator": "Ada\u2028",
    "a tag": "Ada\U000e0041",
    "not composed": "Ade\u0301",
    "too long": "x" * 5_000,
    "a stack of marks": "a" + "\u0301" * 2_000,
}


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

IDS = [
    "..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..",
    "%00",
    "a%00b",
    "%0d%0aSet-Cookie:%20x=1",
    "%ff",
    "%c0%ae%c0%ae",
    "%F0%9F%A6%8A",
    "%E2%80%AE",
    "x" * 101,
    "x" * 5_000,
    "'%20OR%201=1--",
    "%22;DROP%20TABLE%20rooms;--",
    "$%7Bjndi:ldap://x%7D",
    "*",
    "%25",
    "nothing",
]


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
    [
        "/../../etc/passwd",
        "//etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/docs/..%2f..%2fserver.py",
        "/api/docs/%2e%2e%2fserver.py",
        "/api/docs/....//server.py",
        "/api/docs/%00",
        "/nothing",
        "/rooms/",
        "/ROOMS",
        "/.env",
        "/" + "a/" * 2_000,
        "/socket.io/../rooms",
        "/ws/../rooms",
        "http://elsewhere.example/rooms",
        "*",
        "/rooms;x=1",
        "/rooms%3f",
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_path_that_leads_nowhere(market: Market, target: str) -> None:
    status, answer = raw(market, "GET", target)
    assert 300 <= status < 500, (status, answer[:300])
    assert b"import" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=1e1",
        "limit=%F0%9F%A6%8A",
        "limit=99999999999999999999",
        "limit=1&limit=0",
        "limit=",
        "cursor=" + "x" * 301,
        "cursor=%00",
        "cursor=%ff%fe",
        "roomId=%00",
        "roomId=..%2f",
        "status=dancing",
    ],
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


CURSORS = [
    "",
    "x",
    "====",
    "aWFiYw",
    cursor_of("a\0b"),
    cursor_of("'; DROP TABLE deals; --"),
    cursor_of(-1),
    cursor_of(-(2**62)),
    cursor_of(2**63 - 1),
    cursor_of(10**18),
    cursor_of("\u202e\U0001f98a"),
    cursor_of("~" * 100),
    "aTk5OTk5OTk5OTk5OTk5OTk5OTk5",
    "aTEuNQ",
    "c_-8",
    "eA",
    "aV8x",
    "aSAx",
    "adm9",
]


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
    headers = {"Idempotency-Key": key.encode("latin-1"), **_encoded(market.owner.headers)}
    body = json.dumps({"message": "Hi"}).encode()
    status, answer = raw(market, "POST", f"/rooms/{market.room}/messages", body, headers)
    assert status in {400, 422}, answer


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /rooms HTTP/1.1\r\n\r\n",
        b"GET /rooms HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /rooms HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /rooms\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00",
        b"GET /rooms HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /rooms HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /rooms HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET /rooms HTTP/1.1\r\nHost: a\r\nX: a\nSet-Cookie: b\r\n folded\x00\r\n\r\n",
        b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nx",
    ],
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
    head += b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in _encoded(market.owner.headers).items())
    answer = wire(market, head + b"\r\n{", ends=False)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"too_slow"' in answer


@pytest.mark.usefixtures("unchanged")
def test_a_body_that_is_cut_ends_nothing(market: Market) -> None:
    with socket.create_connection(_place(market)) as connection:
        connection.sendall(b"POST /agents/mandate HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
    assert market.http.get("/healthz").status_code == 200


# --- Where a webhook may not go --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[fd00:ec2::254]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1%25eth0]/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://198.18.0.1/",
        "https://me:4817@hooks.example.org/",
        "https://hooks.example.org@127.0.0.1/",
        "https://127.0.0.1#@hooks.example.org/",
        "https://hooks.example.org\\@127.0.0.1/",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:-1/",
        "https://hooks.example.org:0x50/",
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "javascript:alert(1)",
        "data:text/plain,x",
        "//hooks.example.org/",
        "https:hooks.example.org",
        "https://",
        "https:///x",
        "https://.",
        "https://-/",
        "https://\u0131nternal.example/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://hooks.example.org/\r\nX: y",
        "https://hooks.example.org/ x",
        "https://hooks.example.org/\u202e",
        "https://hooks.example.org/" + "x" * 3_000,
        "https://" + "a." * 200 + "example/",
        " https://hooks.example.org/",
        "",
        "x",
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_webhook_to_where_none_may_go(market: Market, url: str) -> None:
    answer = market.http.post("/me/webhooks", json={"url": url}, headers=market.owner.headers)
    assert refused(answer, 422)["code"] == "invalid"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "a@",
        "@b.example",
        "a@b",
        "a b@c.example",
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example,c@d.example",
        '"a\r\n"@b.example',
        "a@[127.0.0.1]",
        "a@b.example\0",
        "\u202ea@b.example",
        "a@" + "b" * 300 + ".example",
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_a_mail_address_that_is_none(market: Market, address: str) -> None:
    answer = market.http.put("/me/email", json={"address": address}, headers=market.owner.headers)
    refused(answer, 400, 422)


# --- The wire --------------------------------------------------------------------------------------------


def raw(
    market: Market, method: str, target: str, body: Any = None, headers: dict[str, bytes] | None = None
) -> tuple[int, bytes]:
    """Sends a request whose target no client has tidied; returns the status and the whole answer."""
    sent = {"Host": b"api.test", "Connection": b"close", **_encoded(market.owner.headers), **(headers or {})}
    if target.startswith("/rooms/") and method == "PATCH":
        sent.update(_encoded(market.admin.headers))
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if content:
        sent.update({"Content-Type": b"application/json", "Content-Length": str(len(content)).encode()})
    head = f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(
        name.encode() + b": " + value + b"\r\n" for name, value in sent.items()
    )
    answer = wire(market, head + b"\r\n" + content, ends=False)
    return int(answer.split(b" ", 2)[1]), answer


def wire(market: Market, sent: bytes, *, ends: bool) -> bytes:
    """Sends bytes, and says that there are no more when it `ends`; returns what is answered until the server ends."""
    answer = bytearray()
    with socket.create_connection(_place(market), timeout=WAIT_S) as connection, suppress(ConnectionError):
        connection.sendall(sent)  # until the server has heard enough
        if ends:
            connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65_536):
            answer += chunk
    return bytes(answer)


def _place(market: Market) -> tuple[str, int]:
    parts = urlsplit(market.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _encoded(headers: dict[str, str]) -> dict[str, bytes]:
    return {name: value.encode() for name, value in headers.items()}
