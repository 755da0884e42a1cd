"""So many in a window and not one more: by any number of threads, with Redis, without it, and when it comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import uvicorn
import websockets
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus

from agentrooms.api import limits as module
from agentrooms.api.limits import PREFIX, PROBES, RETRY_S, Limits, OwnWindows, RequestLimit, Taken, client_of
from agentrooms.api.problems import Problem
from agentrooms.services.listening import listening
from agentrooms.services.redis import Redis, client

SECRET = bytes(range(32))


class Seconds:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def shared(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with closing(client(redis_url)) as connection:
        connection.flushall()
        yield connection


def test_so_many_are_allowed_whoever_asks(shared: redis.Redis) -> None:
    """Two processes, many threads."""
    both = [Limits(shared, SECRET), Limits(shared, SECRET)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: both[n % 2].take("k", 20, 60), range(50)))
    assert sum(one.allowed for one in taken) == 20
    assert {one.retry_after_s for one in taken} <= {59, 60}
    assert both[0].take("other", 20, 60).allowed


def test_a_window_ends_by_itself(shared: redis.Redis) -> None:
    limits = Limits(shared, SECRET)
    assert [limits.take("k", 1, 60).allowed for _ in range(2)] == [True, False]
    ends_ms = shared.pttl(f"{PREFIX}k")
    assert isinstance(ends_ms, int)
    assert 0 < ends_ms <= 60_000
    shared.delete(f"{PREFIX}k")  # what Redis does at its end
    assert limits.take("k", 1, 60).allowed


def test_a_key_that_would_never_end_is_given_its_end(shared: redis.Redis) -> None:
    shared.set(f"{PREFIX}k", 7)
    assert Limits(shared, SECRET).take("k", 5, 60) == Taken(allowed=False, retry_after_s=60)
    assert shared.ttl(f"{PREFIX}k") in {59, 60}


def test_a_refusal_says_when_to_come_again(shared: redis.Redis) -> None:
    limits = Limits(shared, SECRET)
    limits.require("k", 1, 3_600, "spawns")
    with pytest.raises(Problem, match="more than 1 spawns in 3600 s") as raised:
        limits.require("k", 1, 3_600, "spawns")
    assert (raised.value.status, raised.value.code) == (429, "rate_limited")
    assert raised.value.retry_after_s in {3_599, 3_600}


def test_each_process_counts_while_redis_is_away(tmp_path: Path) -> None:
    server, clock = Redis(tmp_path), Seconds()
    with closing(client(server.start())) as connection:
        limits = Limits(connection, SECRET, clock)
        assert limits.take("k", 2, 60).allowed
        server.stop()
        assert [limits.take("k", 2, 60).allowed for _ in range(3)] == [True, True, False]
        server.start()
        assert not limits.take("k", 2, 60).allowed  # Redis is left alone for a while
        clock.now_s += RETRY_S
        assert [limits.take("k", 2, 60).allowed for _ in range(3)] == [True, True, False]
        assert connection.get(f"{PREFIX}k") == "3"
    server.stop()


@given(
    uses=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=60),
    limit=st.integers(1, 5),
    window_s=st.integers(1, 60),
)
def test_own_windows_allow_no_more_than_so_many(uses: list[tuple[str, float]], limit: int, window_s: int) -> None:
    """In each window, which begins with the first use after the last one's end."""
    windows, now_s = OwnWindows(), 0.0
    begun: dict[str, tuple[float, int]] = {}
    for key, passed_s in uses:
        now_s += passed_s
        start_s, used = begun.get(key, (now_s, 0))
        if now_s >= start_s + window_s:
            start_s, used = now_s, 0
        begun[key] = start_s, used + 1
        count, left_s = windows.use(key, window_s, now_s)
        assert (count <= limit) == (used < limit)
        assert left_s == pytest.approx(start_s + window_s - now_s)


def test_own_windows_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOWS_MAX", 3)
    windows = OwnWindows()
    for key in "abcda":
        count, _ = windows.use(key, 60, 0.0)
        assert count == 1
    assert windows.use("d", 60, 0.0)[0] == 2


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    return {
        "type": "http",
        "client": None if peer is None else (peer, 1),
        "headers": [(b"x-forwarded-for", line.encode()) for line in forwarded],
    }


@pytest.mark.parametrize(
    ("asked", "proxies", "seen"),
    [
        (scope("9.9.9.9"), 0, "9.9.9.9"),
        (scope("9.9.9.9", "1.1.1.1"), 0, "9.9.9.9"),
        (scope("9.9.9.9", "1.1.1.1"), 1, "1.1.1.1"),
        (scope("9.9.9.9", "6.6.6.6, 1.1.1.1"), 1, "1.1.1.1"),
        (scope("9.9.9.9", "6.6.6.6, 1.1.1.1, 2.2.2.2"), 2, "1.1.1.1"),
        (scope("9.9.9.9", "6.6.6.6", "1.1.1.1", "2.2.2.2"), 2, "1.1.1.1"),
        (scope("9.9.9.9", "1.1.1.1"), 2, "9.9.9.9"),
        (scope("9.9.9.9", "nonsense"), 1, "9.9.9.9"),
        (scope("9.9.9.9", ""), 1, "9.9.9.9"),
        (scope("9.9.9.9"), 1, "9.9.9.9"),
        (scope("::ffff:9.9.9.9"), 0, "9.9.9.9"),
        (scope("2001:db8:0:1:aaaa::1"), 0, "2001:db8:0:1::/64"),
        (scope("2001:0DB8:0:1::2"), 0, "2001:db8:0:1::/64"),
        (scope("testclient"), 0, "testclient"),
        (scope(None), 0, "local"),
    ],
)
def test_who_asks_is_whom_the_outermost_trusted_proxy_saw(asked: dict[str, Any], proxies: int, seen: str) -> None:
    assert client_of(asked, proxies) == seen


@given(told=st.lists(st.ip_addresses(v=4).map(str), max_size=5), proxies=st.integers(1, 3))
def test_what_the_client_itself_forwards_counts_for_nothing(told: list[str], proxies: int) -> None:
    true = [f"1.1.1.{number}" for number in range(proxies)]  # what the proxies add
    assert client_of(scope("9.9.9.9", ", ".join([*told, *true])), proxies) == "1.1.1.0"


def test_requests_over_the_limit_are_refused_with_a_problem(shared: redis.Redis) -> None:
    """The loopback's too; what watches this API is not counted, and no key holds an address."""
    app = RequestLimit(PlainTextResponse("done"), Limits(shared, SECRET), per_minute=3, trusted_proxies=0)

    async def ask(peer: str, *paths: str) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            return [await http.get(path) for path in paths]

    answers = asyncio.run(ask("127.0.0.1", *["/rooms"] * 4, *PROBES))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, *[200] * len(PROBES)]
    refused = answers[3]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["retry-after"] in {"59", "60"}
    assert asyncio.run(ask("203.0.113.7", "/rooms"))[0].status_code == 200
    keys = shared.keys("*")
    assert isinstance(keys, list)
    assert len(keys) == 2
    assert not [key for key in keys if "127.0.0.1" in key or "203.0.113.7" in key]


def test_a_socket_over_the_limit_is_refused_before_it_opens(shared: redis.Redis) -> None:
    """By a real server, with the same problem."""

    async def hello(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    async def script(port: int) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws") as socket:
            assert await socket.recv() == "hello"
        with pytest.raises(InvalidStatus) as raised:
            await websockets.connect(f"ws://127.0.0.1:{port}/ws")
        assert raised.value.response.status_code == 429
        assert raised.value.response.headers["retry-after"] in {"59", "60"}
        assert json.loads(raised.value.response.body or b"")["code"] == "rate_limited"

    app = RequestLimit(hello, Limits(shared, SECRET), per_minute=1, trusted_proxies=0)
    server = uvicorn.Server(
        uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    )
    with listening("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            asyncio.run(script(listener.getsockname()[1]))
        finally:
            server.should_exit = True
            thread.join()
