"""JSON-RPC over HTTP as Mainsail takes it: one object a request, at most so many a minute, no subscriptions."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from agentrooms.chain.port import ChainError, ChainUnreachable

TIMEOUT_S = 10.0
ATTEMPTS_MAX = 5  # for one call; waits in between double
BACKOFF_S = 0.2
MINUTE_S = 60.0  # also the longest wait a node may ask for
WAIT_MIN_S = 0.001  # less may be no wait at all, by rounding
ANSWER_BYTES_MAX = 4_000_000
BRACKETS_MAX = 5_000  # of an answer, so its depth is bounded too: the decoder falls over one of 50,000
BUSY = frozenset({429, 500, 502, 503, 504})
LIMIT_EXCEEDED = -32005  # the error by which some nodes say 429
SHOWN = 200
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


class RpcRefused(ChainError):
    """The node answered with an error: the request itself is not to its liking."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method} was refused ({code}): {message[:SHOWN]}")
        self.code = code
        self.message = message


class _Busy(Exception):
    """The node did not answer this time; it may say for how long."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Rpc:
    """One client of one node. Calls are idempotent, so one whose answer was lost is made again."""

    def __init__(
        self,
        url: str,
        *,
        requests_per_minute: int | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts_max: int = ATTEMPTS_MAX,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`requests_per_minute` is what the node lets one client ask; None asks as fast as it goes.

        Threads may share it.
        """
        self.url = url
        self._client = httpx.Client(
            transport=transport,
            timeout=timeout_s,
            headers={"content-type": "application/json", "accept-encoding": "identity"},
        )
        self._attempts_max = attempts_max
        self._limit = requests_per_minute
        self._pacing = threading.Lock()
        self._asked: deque[float] = deque()
        self._clock = clock
        self._sleep = sleep
        self._id = 0

    def call(self, method: str, *params: Any) -> Any:  # noqa: ANN401 - each method answers in a form of its own
        """Returns the result. Raises RpcRefused for an error of the node, ChainUnreachable when there is no answer."""
        self._id += 1
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        trouble, wait_s = "", 0.0
        for attempt in range(self._attempts_max):
            if attempt:
                self._sleep(max(wait_s, BACKOFF_S * 2 ** (attempt - 1)))
            with self._pacing:
                self._pace()
            try:
                return _result(method, self._post(body))
            except _Busy as busy:
                trouble, wait_s = str(busy), busy.wait_s
        raise ChainUnreachable(
            f"{method}: no answer from the node after {self._attempts_max} attempts ({trouble})",
            hint="is the node running, and its address right? it is asked again",
        )

    def number(self, method: str, *params: Any) -> int:  # noqa: ANN401 - see call
        """Returns a result that is a quantity. Raises as `call` does, and ChainUnreachable when it is none."""
        found = self.call(method, *params)
        if not isinstance(found, str) or _QUANTITY.fullmatch(found) is None:
            raise _garbage(method, f"no quantity: {ascii(found)[:SHOWN]}")
        return int(found, 16)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def _post(self, body: bytes) -> bytes:
        """Returns the body of the answer, read no further than ANSWER_BYTES_MAX."""
        answer = bytearray()
        try:
            with self._client.stream("POST", self.url, content=body) as response:
                if response.status_code in BUSY:
                    raise _Busy(f"HTTP {response.status_code}", _retry_after_s(response.headers.get("retry-after", "")))
                for part in response.iter_bytes():
                    answer += part
                    if len(answer) > ANSWER_BYTES_MAX:
                        break
        except httpx.HTTPError as error:
            raise _Busy(f"{type(error).__name__}: {error}") from error
        return bytes(answer)

    def _pace(self) -> None:
        """Waits until one request more is within the limit of the last minute."""
        if self._limit is None:
            return
        while True:
            now = self._clock()
            while self._asked and self._asked[0] + MINUTE_S <= now:
                self._asked.popleft()
            if len(self._asked) < self._limit:
                self._asked.append(now)
                return
            self._sleep(max(self._asked[0] + MINUTE_S - now, WAIT_MIN_S))


def _result(method: str, content: bytes) -> Any:  # noqa: ANN401 - see Rpc.call
    if len(content) > ANSWER_BYTES_MAX:
        raise _garbage(method, f"more than {ANSWER_BYTES_MAX} bytes")
    if content.count(b"[") + content.count(b"{") > BRACKETS_MAX:
        raise _garbage(method, f"more than {BRACKETS_MAX} lists and objects")
    try:
        answer = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _garbage(method, f"no JSON: {content[:SHOWN]!a}") from error
    fault = answer.get("error")
    if isinstance(fault, dict):
        code = fault.get("code")
        if code == LIMIT_EXCEEDED:
            raise _Busy(f"error {code}")
        raise RpcRefused(method, code if isinstance(code, int) else 0, str(fault.get("message", "")))
    if "result" not in answer:
        raise _garbage(method, "neither result nor error")
    return answer["result"]


def _garbage(method: str, what: str) -> ChainUnreachable:
    return ChainUnreachable(
        f"{method}: the node's answer is none ({what})", hint="is this the address of a node? it is asked again"
    )


def _retry_after_s(header: str) -> float:
    return min(float(header), MINUTE_S) if header.isascii() and header.isdigit() else 0.0
