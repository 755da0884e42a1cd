"""The client of a node: never faster than allowed, patient with a busy one, believing nothing that is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.evm import rpc as module
from agentrooms.chain.evm.rpc import ATTEMPTS_MAX, MINUTE_S, Rpc, RpcRefused
from agentrooms.chain.port import ChainUnreachable


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, s: float) -> None:
        assert s > 0
        self.now_s += s
        self.slept.append(s)


def client(answer: Callable[[httpx.Request], httpx.Response], time: Time, per_minute: int | None = None) -> Rpc:
    """A client of a node that answers so."""
    transport = httpx.MockTransport(answer)
    return Rpc("http://node", transport=transport, requests_per_minute=per_minute, clock=time, sleep=time.sleep)


def result(value: object) -> httpx.Response:
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": value})


def refusal(code: object, message: object = "no") -> httpx.Response:
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})


@given(st.integers(1, 20), st.lists(st.floats(0, 90), max_size=80))
def test_no_minute_sees_more_requests_than_allowed(limit: int, pauses: list[float]) -> None:
    """However requests are spread, and no request waits longer than it must."""
    time, asked = Time(), list[float]()

    def answer(_: httpx.Request) -> httpx.Response:
        asked.append(time.now_s)
        return result("0x1")

    rpc = client(answer, time, limit)
    for pause in pauses:
        time.now_s += pause
        before = time.now_s
        rpc.call("eth_chainId")
        if time.now_s > before:  # it waited: one more would have been too many
            assert asked[-1] == pytest.approx(asked[-1 - limit] + MINUTE_S)
    for at, first in enumerate(asked):
        in_minute = [one for one in asked[at:] if one < first + MINUTE_S - 1e-6]
        assert len(in_minute) <= limit


@pytest.mark.parametrize(
    "trouble", [429, 500, 502, 503, 504, -32005, httpx.ConnectTimeout("slow"), httpx.ReadError("cut")]
)
def test_a_busy_node_is_asked_again_at_waits_that_double(trouble: int | httpx.HTTPError) -> None:
    time, seen = Time(), list[bytes]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        if len(seen) == ATTEMPTS_MAX:
            return result("0x2a")
        if isinstance(trouble, httpx.HTTPError):
            raise trouble
        return refusal(trouble) if trouble < 0 else httpx.Response(trouble, text="busy")

    assert client(answer, time).number("eth_blockNumber") == 42
    assert time.slept == [0.2, 0.4, 0.8, 1.6]
    assert len(set(seen)) == 1  # the same request, so a node that did hear the first one sees nothing new


def test_a_node_that_stays_away_is_an_error_that_names_the_trouble() -> None:
    time = Time()
    with pytest.raises(ChainUnreachable, match=r"eth_chainId.*5 attempts.*HTTP 503"):
        client(lambda _: httpx.Response(503), time).call("eth_chainId")
    assert len(time.slept) == ATTEMPTS_MAX - 1


@pytest.mark.parametrize(("header", "waits"), [("7", 7.0), ("9999", MINUTE_S), ("soon", 0.2), ("-1", 0.2), ("²", 0.2)])
def test_a_node_may_say_how_long_to_wait(header: str, waits: float) -> None:
    time, answers = Time(), iter([httpx.Response(429, headers=[(b"retry-after", header.encode())]), result("0x1")])
    client(lambda _: next(answers), time).call("eth_chainId")
    assert time.slept == [waits]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"error":"text"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_is_no_answer_is_not_believed(content: bytes) -> None:
    with pytest.raises(ChainUnreachable, match="eth_call"):
        client(lambda _: httpx.Response(200, content=content), Time()).call("eth_call")


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"0" * 100_000

    with pytest.raises(ChainUnreachable, match="bytes"):
        client(lambda _: httpx.Response(200, content=endless()), Time()).call("eth_call")
    assert read <= module.ANSWER_BYTES_MAX // 100_000 + 2


@pytest.mark.parametrize(("code", "kept"), [(-32000, -32000), ("x", 0), (None, 0)])
def test_an_error_of_the_node_is_told_with_its_code_and_not_repeated(code: object, kept: int) -> None:
    time = Time()
    with pytest.raises(RpcRefused, match="eth_call was refused") as refused:
        client(lambda _: refusal(code, "execution reverted"), time).call("eth_call")
    assert (refused.value.code, refused.value.message, time.slept) == (kept, "execution reverted", [])


@pytest.mark.parametrize("value", [None, 5, "5", "0x", "0xzz", "0x" + "1" * 65, [], True])
def test_a_quantity_is_one(value: object) -> None:
    with pytest.raises(ChainUnreachable):
        client(lambda _: result(value), Time()).number("eth_gasPrice")
