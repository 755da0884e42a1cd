"""HTTP to addresses that strangers name (images of NFTs, webhooks), without lending them our place in the network.

A name is resolved once, each of its addresses is checked, and the connection goes to a checked address: a name that
resolves to something else a moment later is of no use. Time and bytes of the whole exchange are bounded.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore
import msgspec

from agentrooms import __version__
from agentrooms.errors import AgentroomsError

URL_CHARACTERS_MAX = 2_048
REDIRECTS_MAX = 3
ADDRESSES_MAX = 4  # of one host that are tried
RESOLVERS = 4  # lookups at a time; one that hangs holds a thread until the system gives it up
WRITE_BYTES = 16_384  # sent at a time, so that the time left is looked at in between
PORTS = frozenset({80, 443})  # and all that need no privilege
PORT_FREE_FROM = 1_024
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?")
_NUMBER = re.compile(
    r"[0-9]+|0x[0-9a-f]*"
)  # a last label of this kind makes browsers and libraries see an IPv4 address
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")

_REFUSED_4 = [
    ipaddress.IPv4Network(one)
    for one in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT, and a cloud's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata service
        "169.254.0.0/16",  # link-local, and most clouds' metadata service
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")  # all that is given out; the rest is local or a tunnel
_REFUSED_6 = [
    ipaddress.IPv6Network(one)
    for one in (
        "2001::/23",  # Teredo, benchmarks, hashes
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Resolve = Callable[[str, int], list[str]]  # the addresses of a host and port; raises OSError when there are none


class OutboundRefused(AgentroomsError):
    """The address is not one we connect to."""


class OutboundFailed(AgentroomsError):
    """The other side did not answer, not in time, or not in a way we take."""


class Fetched(msgspec.Struct, frozen=True):
    """An answer: its status, the type it claims to be (empty: none), its body as sent."""

    status: int
    media_type: str
    body: bytes


def system_resolve(host: str, port: int) -> list[str]:
    """Returns a host's addresses as the system knows them. Raises OSError when it knows none."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def public(address: str) -> bool:
    """Says whether an address, written the usual way, belongs to the internet at large."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        if ip.ipv4_mapped is not None:
            return public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return public(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)))
        return ip in _PUBLIC_6 and not any(ip in one for one in _REFUSED_6)
    return not any(ip in one for one in _REFUSED_4)


class Outbound:
    """Fetches from and posts to addresses that are not ours to trust. Safe to share between threads."""

    def __init__(self, *, private: bool = False, resolve: Resolve = system_resolve) -> None:
        """`private` allows any address and webhooks without TLS: for tests and development alone."""
        self._private = private
        self._resolve = resolve
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="outbound-resolve")

    def get(self, url: str, *, bytes_max: int, timeout_s: float, accept: str = "*/*") -> Fetched:
        """Returns what is at an address, after at most REDIRECTS_MAX redirects, each checked as the first.

        Raises:
            OutboundRefused: the address, or one it leads to, is not one we connect to.
            OutboundFailed: no answer in `timeout_s` seconds altogether, or one of more than `bytes_max` bytes.
        """
        deadline = time.monotonic() + timeout_s
        for _ in range(REDIRECTS_MAX + 1):
            target = self.checked(url)
            with self._exchange("GET", target, {"Accept": accept}, b"", deadline) as response:
                location = _header(response, b"location")
                if response.status not in REDIRECTS or not location:
                    return Fetched(response.status, _media_type(response), _body(response, target, bytes_max))
            url = _joined(url, location)
        raise OutboundFailed(f"{_shown(target)} redirects more than {REDIRECTS_MAX} times")

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> int:
        """Sends a body and returns the status of the answer, which is read no further; follows no redirect.

        Raises:
            OutboundRefused: the address is not one we post to.
            OutboundFailed: no answer in `timeout_s` seconds altogether.
        """
        target = self.checked(url, webhook=True)
        with self._exchange("POST", target, headers, body, time.monotonic() + timeout_s) as response:
            return response.status

    def checked(self, url: str, *, webhook: bool = False) -> SplitResult:
        """Returns an address in its parts if its writing is one we take; who it resolves to is checked on connecting.

        Raises OutboundRefused.
        """
        if len(url) > URL_CHARACTERS_MAX:
            raise OutboundRefused(f"the address has {len(url)} characters, at most {URL_CHARACTERS_MAX} are taken")
        if _URL.fullmatch(url) is None or "\\" in url:
            raise OutboundRefused(
                "the address is not http:// or https:// in plain characters",
                hint="write other characters as %-escapes, a host's as punycode",
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise OutboundRefused("the address has no proper host or port") from error
        if "@" in parts.netloc:
            raise OutboundRefused("the address holds a user name or password", hint="leave it out")
        if webhook and parts.scheme != "https" and not self._private:
            raise OutboundRefused("a webhook's address must begin with https://")
        if port is not None and port not in PORTS and port < PORT_FREE_FROM:
            raise OutboundRefused(
                f"port {port} is not one we connect to", hint=f"80, 443 or {PORT_FREE_FROM} and above"
            )
        self._check_host(parts.hostname or "", bracketed="[" in parts.netloc)
        return parts

    def _check_host(self, host: str, *, bracketed: bool) -> None:
        """Raises OutboundRefused for a host that is neither a name nor an IP address in its one usual spelling."""
        if not _is_address(host):
            numeric = _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None
            if bracketed or numeric or _HOST.fullmatch(host) is None:
                raise OutboundRefused(f"{ascii(host)[:80]} is neither a host's name nor an IP address")
            return
        if not self._private and not public(host):
            raise OutboundRefused(f"{host} is not an address of the public internet")

    @contextlib.contextmanager
    def _exchange(
        self, method: str, target: SplitResult, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Iterator[httpcore.Response]:
        sent = {**headers, "Host": target.netloc, "Accept-Encoding": "identity", "Connection": "close"}
        sent.setdefault("User-Agent", f"agentrooms/{__version__}")
        if method == "POST":
            sent["Content-Length"] = str(len(body))
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=(target.hostname or "").encode(),
            port=target.port,
            target=(target.path or "/").encode() + (b"?" + target.query.encode() if target.query else b""),
        )
        backend = _Backend(self._addresses, deadline)
        try:
            with (
                httpcore.ConnectionPool(_tls(target.scheme), network_backend=backend) as pool,
                pool.stream(method, url, headers=list(sent.items()), content=body) as response,
            ):
                yield response
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise OutboundFailed(f"{_shown(target)} gave no answer: {type(error).__name__}") from error

    def _addresses(self, host: str, port: int, deadline: float) -> list[str]:
        """Returns the addresses of a host to connect to. Raises OutboundRefused if one of them is not public."""
        found = self._resolvers.submit(self._resolve, host, port)
        try:
            addresses = found.result(max(deadline - time.monotonic(), 0))
        except FutureTimeoutError as error:
            found.cancel()
            raise OutboundFailed(f"{host} was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise OutboundFailed(_nowhere(host)) from error
        if not self._private and not all(public(one) for one in addresses):
            raise OutboundRefused(_nowhere(host))
        return list(dict.fromkeys(addresses))[:ADDRESSES_MAX]


class _Backend(httpcore.NetworkBackend):
    """Connects to checked addresses alone, and to none after the deadline."""

    def __init__(self, addresses: Callable[[str, int, float], list[str]], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        trouble: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._addresses(host, port, self._deadline):
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, timeout=_left_s(self._deadline))
                return _Stream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                trouble = error
        raise trouble


class _Stream(httpcore.NetworkStream):
    """A connection that ends at a deadline, however little the other side sends at a time."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            self._stream.write(buffer[start : start + WRITE_BYTES], _left_s(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left_s(self._deadline)), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's
        return self._stream.get_extra_info(info)


@functools.cache
def _tls(scheme: str) -> ssl.SSLContext | None:
    """Returns how certificates are checked; made once, since it takes a while."""
    return httpcore.default_ssl_context() if scheme == "https" else None


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise httpcore.ReadTimeout("the time for the whole exchange is over")
    return left_s


def _is_address(host: str) -> bool:
    """Tells whether a host is an IP address; one of a certain interface (%) is none for us."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _body(response: httpcore.Response, target: SplitResult, bytes_max: int) -> bytes:
    if _header(response, b"content-encoding") not in {"", "identity"}:
        raise OutboundFailed(f"{_shown(target)} answers compressed, though asked not to")
    body = bytearray()
    for part in response.iter_stream():
        body += part
        if len(body) > bytes_max:
            raise OutboundFailed(f"{_shown(target)} answers with more than {bytes_max} bytes")
    return bytes(body)


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _media_type(response: httpcore.Response) -> str:
    claimed = _header(response, b"content-type").partition(";")[0].strip().lower()
    return claimed if _MEDIA_TYPE.fullmatch(claimed) else ""


def _nowhere(host: str) -> str:
    """Returns one text for names that are unknown and private: strangers must not learn which names there are."""
    return f"{host} has no address that we connect to"


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise OutboundRefused("a redirect leads to an address without a proper host") from error


def _shown(target: SplitResult) -> str:
    """Returns the host alone: paths and queries of webhooks are often secrets."""
    return target.hostname or "the address"
