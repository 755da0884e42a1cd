"""What is sent by nobody who means well, and how it is sent: as it stands there, by no client that would tidy it."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from agentrooms.api.reading import cursor_of
from agentrooms.api.strict import BODY_BYTES_MAX
from tests.api.market import Market

SECRET = "4817"  # stands in all values that may be limits
WAIT_S = 30

BODIES: list[tuple[bytes, tuple[int, ...]]] = [
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
]

AMOUNTS = [
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
]

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

TARGETS = [
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
]

QUERIES = [
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
]

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

NOT_HTTP = [
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
]

WEBHOOKS = [
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
]

MAILS = [
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
]


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


def raw(
    market: Market, method: str, target: str, body: Any = None, headers: dict[str, bytes] | None = None
) -> tuple[int, bytes]:
    """Sends a request whose target no client has tidied; returns the status and the whole answer."""
    sent = {"Host": b"api.test", "Connection": b"close", **encoded(market.owner.headers), **(headers or {})}
    if target.startswith("/rooms/") and method == "PATCH":
        sent.update(encoded(market.admin.headers))
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
    with socket.create_connection(place_of(market), timeout=WAIT_S) as connection, suppress(ConnectionError):
        connection.sendall(sent)  # until the server has heard enough
        if ends:
            connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65_536):
            answer += chunk
    return bytes(answer)


def place_of(market: Market) -> tuple[str, int]:
    parts = urlsplit(market.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def encoded(headers: dict[str, str]) -> dict[str, bytes]:
    return {name: value.encode() for name, value in headers.items()}
