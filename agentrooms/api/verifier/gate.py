"""Who may ask a verifier: callers whose keys it was told, each request signed, in time, and once."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable

from agentrooms.actors.verifier_wire import SCHEME, SKEW_MS, credentials, is_authentic
from agentrooms.api.problems import Problem

NONCES_MAX = 20_000  # of requests within the skew; 300 a second


def wall_ms() -> int:
    """Returns the wall clock's time."""
    return time.time_ns() // 1_000_000


class Gate:
    """Lets requests to one verifier through. What was let through is remembered as long as it could be sent again.

    A restart forgets it. That changes nothing: a vote given again is the same vote, and a deal executes once.
    """

    def __init__(self, verifier: str, callers: frozenset[str], clock_ms: Callable[[], int] = wall_ms) -> None:
        """`verifier` and `callers` are public keys in hex."""
        self._verifier = verifier
        self._callers = callers
        self._clock_ms = clock_ms
        self._seen: set[tuple[str, str]] = set()
        self._ends: list[tuple[int, tuple[str, str]]] = []

    def admit(self, header: str, path: str, body: bytes) -> None:
        """Raises Problem unless the request is a caller's own, of now, and new."""
        given = credentials(header)
        if given is None:
            raise _refused(f"an Authorization of the scheme {SCHEME} is needed")
        if given.caller not in self._callers:
            raise _refused("the caller's key is not among those that this verifier answers")
        now = self._clock_ms()
        if abs(now - given.at_ms) > SKEW_MS:
            raise _refused(f"signed at {given.at_ms} ms, here it is {now} ms; {SKEW_MS} ms apart are allowed")
        if not is_authentic(given, self._verifier, path, body):
            raise _refused("the signature is not the caller's over this request to this verifier")
        self._remember((given.caller, given.nonce), given.at_ms + SKEW_MS, now)

    def _remember(self, request: tuple[str, str], until_ms: int, now: int) -> None:
        while self._ends and self._ends[0][0] < now:
            self._seen.discard(heapq.heappop(self._ends)[1])
        if request in self._seen:
            raise _refused("this request was made before")
        if len(self._seen) >= NONCES_MAX:
            raise Problem(503, f"{NONCES_MAX} requests within {2 * SKEW_MS} ms are the most it takes")
        self._seen.add(request)
        heapq.heappush(self._ends, (until_ms, request))


def _refused(detail: str) -> Problem:
    return Problem(401, detail)
