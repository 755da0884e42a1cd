"""Addresses that strangers name reach the public internet alone, within their bytes and their time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.services.outbound import REDIRECTS_MAX, Outbound, OutboundFailed, OutboundRefused, public

TIMEOUT_S = 30.0  # of exchanges that are not about time
PUBLIC = "93.184.215.14"

REFUSED_WRITINGS = [
    "",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "//example.com/",
    "http:example.com",
    "http:///path",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "http://example.com:22/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:x/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://1.2.3.4.5/",
    "http://example.0x10/",
    "http://exa mple.com/",
    "http://example.com/\r\nHost: other",
    "http://example.com\\@127.0.0.1/",
    "http://ex\u00e4mple.com/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://[::1/",
    "http://[example.com]/",
    "http://[fe80::1%25eth0]/",
    "http://-example.com/",
    "http://example..com/",
    "https://" + "a" * 2_048,
]

PRIVATE_ADDRESSES = [
    "0.0.0.0",  # noqa: S104 - refused
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

Reply = Callable[[BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def serving(reply: Reply) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A server on the loopback that answers everything by `reply`; yields its port and the headers it was sent."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            reply(self)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, format: str, *args: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that hands its one connection to `talk`, in a thread; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def answering(body: bytes, *headers: tuple[str, str], status: int = 200) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        with contextlib.suppress(OSError):  # a body that is too long is not read to its end
            handler.wfile.write(body)

    return reply


def resolving(*answers: list[str]) -> tuple[list[str], Callable[[str, int], list[str]]]:
    """A resolver that gives each answer once, the last one for ever; and the names it was asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return asked, resolve


@pytest.mark.parametrize("url", REFUSED_WRITINGS)
@pytest.mark.parametrize("private", [False, True])
def test_a_doubtful_writing_is_refused_before_any_lookup(url: str, private: bool) -> None:
    asked, resolve = resolving([PUBLIC])
    with pytest.raises(OutboundRefused):
        Outbound(private=private, resolve=resolve).get(url, bytes_max=10, timeout_s=TIMEOUT_S)
    assert asked == []


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_a_private_address_is_refused_as_itself_and_behind_a_name(address: str) -> None:
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(OutboundRefused):
        Outbound().get(f"http://{written}/", bytes_max=10, timeout_s=TIMEOUT_S)
    for answer in ([address], [PUBLIC, address]):
        _, resolve = resolving(answer)
        with pytest.raises(OutboundRefused, match="no address that we connect to"):
            Outbound(resolve=resolve).get("http://images.example/", bytes_max=10, timeout_s=TIMEOUT_S)


def test_a_private_name_is_told_like_one_that_there_is_not() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError

    said = set()
    for resolve in (unknown, resolving(["10.0.0.1"])[1]):
        with pytest.raises((OutboundRefused, OutboundFailed)) as caught:
            Outbound(resolve=resolve).get("http://db.internal/", bytes_max=10, timeout_s=TIMEOUT_S)
        said.add((str(caught.value), caught.value.hint))
    assert len(said) == 1


def test_the_system_resolves_localhost_and_it_is_refused() -> None:
    with pytest.raises(OutboundRefused):
        Outbound().get("http://localhost:8000/", bytes_max=10, timeout_s=TIMEOUT_S)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:", "64:ff9b::"]))
def test_an_embedded_address_is_judged_as_itself_and_nothing_unroutable_is_public(address: object, prefix: str) -> None:
    assert public(f"{prefix}{address}") == public(str(address))
    if public(str(address)):
        assert address.is_global  # type: ignore[attr-defined]


@given(st.ip_addresses(v=6))
def test_no_unroutable_ipv6_address_is_public(address: object) -> None:
    if public(str(address)):
        assert address.is_global or address.ipv4_mapped or str(address).startswith("64:ff9b:")  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:1.1.1.1"])
def test_public_addresses_are_public(address: str) -> None:
    assert public(address)


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """The name is looked up once an exchange, so a resolver that changes its mind is not asked again."""
    asked, resolve = resolving(["127.0.0.1"], ["127.0.0.9"])
    with serving(answering(b"{}", ("Content-Type", "Application/JSON; charset=utf-8"))) as (port, seen):
        outbound = Outbound(private=True, resolve=resolve)
        fetched = outbound.get(f"http://images.example:{port}/1?a=b", bytes_max=10, timeout_s=TIMEOUT_S)
    assert (fetched.status, fetched.media_type, fetched.body) == (200, "application/json", b"{}")
    assert asked == ["images.example"]
    assert seen[0]["Host"] == f"images.example:{port}"


def test_tls_asks_for_the_name_and_not_the_address() -> None:
    hello = bytearray()

    def talk(connection: socket.socket) -> None:
        hello.extend(connection.recv(65_536))

    _, resolve = resolving(["127.0.0.1"])
    with raw_server(talk) as port, pytest.raises(OutboundFailed):
        Outbound(private=True, resolve=resolve).get(
            f"https://images.example:{port}/", bytes_max=10, timeout_s=TIMEOUT_S
        )
    assert b"images.example" in hello


def test_redirects_are_followed_a_few_times_and_checked_each_time() -> None:
    with serving(answering(b"", ("Location", "/again"), status=302)) as (port, seen):
        with pytest.raises(OutboundFailed, match="redirects"):
            Outbound(private=True).get(f"http://127.0.0.1:{port}/", bytes_max=10, timeout_s=TIMEOUT_S)
        assert len(seen) == REDIRECTS_MAX + 1
    for location in ("file:///etc/passwd", "http://0x7f.1/", "http://u:p@example.com/", "http://[::1", "//x:22/"):
        with serving(answering(b"", ("Location", location), status=307)) as (port, seen):
            with pytest.raises(OutboundRefused):
                Outbound(private=True).get(f"http://127.0.0.1:{port}/", bytes_max=10, timeout_s=TIMEOUT_S)
            assert len(seen) == 1


def test_a_body_that_is_too_long_or_compressed_is_not_taken() -> None:
    with serving(answering(b"x" * 1_001)) as (port, _), pytest.raises(OutboundFailed, match="more than 1000 bytes"):
        Outbound(private=True).get(f"http://127.0.0.1:{port}/", bytes_max=1_000, timeout_s=TIMEOUT_S)
    with (
        serving(answering(b"x", ("Content-Encoding", "gzip"))) as (port, _),
        pytest.raises(OutboundFailed, match="compressed"),
    ):
        Outbound(private=True).get(f"http://127.0.0.1:{port}/", bytes_max=1_000, timeout_s=TIMEOUT_S)


def test_headers_that_drip_end_at_the_deadline() -> None:
    """Each byte comes in time for a timeout of single reads; the whole exchange is over all the same."""
    stopped = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stopped.wait(0.01):
            connection.sendall(b"a")

    with raw_server(talk) as port:
        with pytest.raises(OutboundFailed, match="Timeout"):
            Outbound(private=True).get(f"http://127.0.0.1:{port}/", bytes_max=1_000, timeout_s=0.3)
        stopped.set()


def test_a_lookup_that_hangs_ends_at_the_deadline() -> None:
    answered = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        answered.wait()
        return [PUBLIC]

    with pytest.raises(OutboundFailed, match="not resolved in time"):
        Outbound(resolve=resolve).get("http://images.example/", bytes_max=10, timeout_s=0.1)
    answered.set()


@pytest.mark.parametrize(
    "talk", [b"", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000]
)
def test_an_answer_that_is_none_is_told_as_such(talk: bytes) -> None:
    def reply(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(talk)

    with raw_server(reply) as port, pytest.raises(OutboundFailed):
        Outbound(private=True).get(f"http://127.0.0.1:{port}/", bytes_max=10, timeout_s=TIMEOUT_S)


def test_posting_sends_the_body_and_the_headers_and_follows_no_redirect() -> None:
    bodies: list[bytes] = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        bodies.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        answering(b"", ("Location", "/other"), status=302)(handler)

    with serving(reply) as (port, seen):
        status = Outbound(private=True).post(
            f"http://127.0.0.1:{port}/hook", b"x" * 100_000, {"X-Signature": "abc"}, timeout_s=TIMEOUT_S
        )
    assert (status, bodies) == (302, [b"x" * 100_000])
    assert seen[0]["X-Signature"] == "abc"


def test_a_webhook_needs_tls_and_no_message_repeats_its_path() -> None:
    with pytest.raises(OutboundRefused, match="https"):
        Outbound().post("http://hooks.example/secret", b"", {}, timeout_s=TIMEOUT_S)
    _, resolve = resolving([])
    with pytest.raises(OutboundFailed) as caught:
        Outbound(resolve=resolve).post("https://hooks.example/secret", b"", {}, timeout_s=TIMEOUT_S)
    assert "secret" not in str(caught.value)
