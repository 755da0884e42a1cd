"""How requests become answers, without talking: generators that say what is to be done next, and are told what came.

Two thin shells carry them out, one that waits (`Client`) and one that awaits (`AsyncClient`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from eth_account import Account
from eth_account.messages import encode_defunct

from agentrooms.api.models.auth import AccessBody, VerifiedBody
from agentrooms.client.call import Call
from agentrooms.client.calls.auth import challenge, refresh, verify
from agentrooms.client.problem import ApiProblem, ApiUnreachable, problem_of

ATTEMPTS_MAX = 5  # of one request
PAUSE_S, PAUSE_MAX_S = 0.25, 8.0  # doubles in between, where the API names no time
RETRY_AFTER_MAX_S = 60.0  # who is told to wait longer decides for himself
EARLY_S = 30.0  # before its end a token is renewed
PASSING = frozenset({429, 503})
UNDER_WAY = "in_progress"  # the code of a write that is being done, sent before and cut

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Send:
    """To be sent; a Reply comes back, or ApiUnreachable is thrown in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Pause:
    """Time to let pass."""

    seconds: float


@dataclass(frozen=True)
class Renew:
    """Tokens to be renewed, by one at a time: unless another has meanwhile, which is seen by `stale`."""

    stale: str


@dataclass(frozen=True)
class Reply:
    """What came; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Step = Send | Pause | Renew
Steps = Generator[Step, Reply | None, Answer]


class Session:
    """Who is signed in: the tokens, and the key that can sign in anew."""

    def __init__(self) -> None:
        self.access = ""
        self.refresh = ""
        self.expires_at_s = 0.0
        self.wallet = ""
        self._key: bytes | None = None

    def hold(self, tokens: AccessBody) -> None:
        """Holds new tokens."""
        self.access, self.refresh = tokens.access_token, tokens.refresh_token
        self.expires_at_s = _seconds(tokens.expires_at)

    def remember(self, key: bytes) -> None:
        """Keeps a wallet's key, to sign in again when the session has ended."""
        self._key = key

    def forget(self) -> None:
        """Forgets who was signed in."""
        self.access, self.refresh, self._key = "", "", None

    def is_ending(self) -> bool:
        """Says whether the access token ends within seconds."""
        return bool(self.access) and time.time() > self.expires_at_s - EARLY_S

    def renewed(self) -> Steps[None]:
        """Renews the tokens; signs in again when they cannot be and the key is there. Raises ApiProblem."""
        if not self.refresh and self._key is None:
            return  # the access token was given from outside; the API says what is wrong with it
        try:
            held = yield from exchange(self, refresh(self.refresh))
        except ApiProblem as problem:
            if problem.status != 401 or self._key is None:
                raise
            yield from signed_in(self, self._key)
            return
        self.hold(held)


def exchange(session: Session, call: Call[Answer]) -> Steps[Answer]:
    """Sends a call until it is answered, at most ATTEMPTS_MAX times. Raises ApiProblem, ApiUnreachable."""
    renewed = False
    for attempt in range(1, ATTEMPTS_MAX + 1):
        if not call.anonymous and session.is_ending():
            yield Renew(session.access)
        used = "" if call.anonymous else session.access
        try:
            reply = yield Send(call.method, call.path, call.query, _headers(call, used), call.body)
        except ApiUnreachable:
            if attempt == ATTEMPTS_MAX or not call.is_repeatable:
                raise
            yield Pause(_pause_s(attempt))
            continue
        assert reply is not None, "a reply comes back for what was sent"
        if reply.status < 400:
            return call.read(reply.body)
        problem = problem_of(reply.status, reply.headers, reply.body)
        if reply.status == 401 and used and not renewed:
            renewed = True
            yield Renew(used)
        elif is_passing(problem) and attempt < ATTEMPTS_MAX and problem.retry_after_s <= RETRY_AFTER_MAX_S:
            yield Pause(problem.retry_after_s or _pause_s(attempt))
        else:
            raise problem
    raise problem


def is_passing(problem: ApiProblem) -> bool:
    """Says whether the same request may be answered otherwise in a moment."""
    return problem.status in PASSING or problem.code == UNDER_WAY


def signed_in(session: Session, key: bytes) -> Steps[VerifiedBody]:
    """Signs in with a wallet's key. Raises ApiProblem, ApiUnreachable."""
    account = Account.from_key(key)
    challenged = yield from exchange(session, challenge(account.address))
    signed = account.sign_message(encode_defunct(text=challenged.message))
    found = yield from exchange(session, verify(account.address, challenged.nonce, signed.signature.to_0x_hex()))
    session.hold(found)
    session.remember(key)
    session.wallet = account.address
    return found


def good_token(session: Session, stale: str) -> Steps[str]:
    """Returns an access token that does not end within seconds and is not `stale`; "" for nobody's."""
    if session.access and (session.is_ending() or session.access == stale):
        yield Renew(session.access)
    return session.access


def _headers(call: Call[Answer], access: str) -> dict[str, str]:
    headers = {"Accept": "application/json" if call.answer is not bytes else "*/*"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.key is not None:
        headers["Idempotency-Key"] = call.key
    if access:
        headers["Authorization"] = f"Bearer {access}"
    return headers


def _pause_s(attempt: int) -> float:
    """Returns how long to wait after an attempt; drawn, so that many clients do not come back at once."""
    return float(min(PAUSE_MAX_S, PAUSE_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
