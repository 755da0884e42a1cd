"""How much anybody may ask for, counted in Redis for all processes at once, and in this process while it is away.

A window begins with the first use of a key and lasts its seconds. Redis can lose all of it: then counting begins anew.
No key holds an address: those of people go in as keyed hashes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import redis
from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrooms.api.problems import Problem, answer

PREFIX = "ratelimit:"
WINDOWS_MAX = 10_000  # in this process, while Redis is away; the oldest go first
THREADS = 8
RETRY_S = 1.0  # how long Redis is left alone after it did not answer
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
SIGN_INS_PER_MINUTE = 10  # of one wallet from one address
NETWORK_BITS = 64  # of IPv6: whoever has one address has its whole network
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked by machines that watch this one

_TAKE = """
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left = tonumber(ARGV[1])
end
return {count, left}
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether one more was allowed, and after how many whole seconds to come again when it was not."""

    allowed: bool
    retry_after_s: int


class Limits:
    """Counts uses by key. Never raises for Redis. Safe for many threads."""

    def __init__(self, redis_client: redis.Redis, secret: bytes, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`secret` is the installation's; `clock_s` is that of this process's own windows."""
        self._script = redis_client.register_script(_TAKE)
        self._secret = secret
        self._clock_s = clock_s
        self._own = OwnWindows()
        self._limiter: CapacityLimiter | None = None  # of the event loop that asks first
        self._away_until_s = -math.inf

    def take(self, key: str, limit: int, window_s: int) -> Taken:
        """Uses a key once more, `limit` times in `window_s` at most."""
        now_s = self._clock_s()
        if now_s >= self._away_until_s:
            try:
                said = self._script(keys=[f"{PREFIX}{key}"], args=[window_s * 1_000])
                count, left_ms = cast("tuple[int, int]", said)
                return _taken(count, limit, left_ms / 1_000)
            except (redis.RedisError, OSError) as error:
                log.warning("limits are counted by each process until Redis is back: %s", type(error).__name__)
                self._away_until_s = now_s + RETRY_S
        count, left_s = self._own.use(key, window_s, now_s)
        return _taken(count, limit, left_s)

    async def take_soon(self, key: str, limit: int, window_s: int) -> Taken:
        """Does the same on another thread; for the event loop."""
        return await to_thread.run_sync(self.take, key, limit, window_s, limiter=self._threads())

    def _threads(self) -> CapacityLimiter:
        """Returns threads of its own: those of endpoints may all be waiting for answers."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(THREADS)
        return self._limiter

    def require(self, key: str, limit: int, window_s: int, what: str) -> None:
        """Uses a key once more. Raises Problem 429 when that is once too often; `what` says of what, such as "spawns"."""
        taken = self.take(key, limit, window_s)
        if not taken.allowed:
            raise too_many(taken, f"more than {limit} {what} in {window_s} s")

    def hidden(self, text: str) -> str:
        """Returns what stands for an address in a key."""
        return hashlib.blake2b(text.encode(), digest_size=12, key=self._secret, person=b"limits").hexdigest()


class OwnWindows:
    """Windows of this process alone: how often each key was used, and until when that counts."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, float]] = {}  # in the order in which they began
        self._lock = threading.Lock()

    def use(self, key: str, window_s: int, now_s: float) -> tuple[int, float]:
        """Returns how often a key was used in its window, this time included, and how long that lasts."""
        with self._lock:
            count, ends_s = self._windows.get(key, (0, now_s))
            if ends_s <= now_s:
                self._windows.pop(key, None)
                count, ends_s = 0, now_s + window_s
            self._windows[key] = (count + 1, ends_s)
            while len(self._windows) > WINDOWS_MAX:
                self._windows.pop(next(iter(self._windows)))
            return count + 1, ends_s - now_s


class RequestLimit:
    """Middleware: so many requests a minute from one address, through how many proxies there are."""

    def __init__(self, app: ASGIApp, limits: Limits, per_minute: int, trusted_proxies: int) -> None:
        self._app = app
        self._limits = limits
        self._per_minute = per_minute
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        key = f"requests:{self._limits.hidden(client_of(scope, self._trusted_proxies))}"
        taken = await self._limits.take_soon(key, self._per_minute, MINUTE_S)
        if taken.allowed:
            await self._app(scope, receive, send)
            return
        refusal = answer(too_many(taken, f"more than {self._per_minute} requests in a minute"))
        await refusal(scope, receive, send)  # a WebSocket too: Starlette answers its handshake


def too_many(taken: Taken, detail: str) -> Problem:
    """Returns the problem of one who asks too often."""
    return Problem(429, detail, hint=f"try again in {taken.retry_after_s} s", retry_after_s=taken.retry_after_s)


def client_of(scope: Scope, trusted_proxies: int) -> str:
    """Returns who is asking: the address that the outermost trusted proxy saw, an IPv6 one as its network.

    Each trusted proxy adds the address it was asked from to X-Forwarded-For, so that many entries from the right are
    true. With fewer entries than proxies, or one that is no address, it is the address that the connection is from.
    """
    peer = cast("tuple[Any, Any] | None", scope.get("client"))
    seen = str(peer[0]) if peer is not None else "local"
    if trusted_proxies:
        told = [entry.strip() for line in Headers(scope=scope).getlist("x-forwarded-for") for entry in line.split(",")]
        if len(told) >= trusted_proxies:
            seen = _network(told[-trusted_proxies]) or seen
    return _network(seen) or seen


def _network(text: str) -> str | None:
    """Returns an address in its one spelling, or the network of an IPv6 one; None for what is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), NETWORK_BITS), strict=False))
    return str(address)


def _taken(count: int, limit: int, left_s: float) -> Taken:
    return Taken(count <= limit, max(1, math.ceil(left_s)))
