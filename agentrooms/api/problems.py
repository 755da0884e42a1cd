"""Answers that say what is wrong (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from fastapi import Response

from agentrooms.errors import AgentroomsError

MEDIA_TYPE = "application/problem+json"
RETRY_S = 2  # when something is away that comes back by itself
CODES = {
    400: "malformed",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "not_possible",
    406: "not_possible",
    408: "too_slow",
    409: "refused",
    413: "too_large",
    415: "malformed",
    422: "invalid",
    429: "rate_limited",
    500: "fault",
    502: "bad_upstream",
    503: "unavailable",
}
"""The code of each status where nothing says more."""


class Problem(AgentroomsError):
    """A request that is refused, or cannot be answered now; its text goes to the caller."""

    def __init__(self, status: int, detail: str, *, code: str = "", hint: str = "", retry_after_s: int = 0) -> None:
        super().__init__(detail, hint=hint)
        self.status = status
        self.code = code or CODES.get(status, "fault")
        self.retry_after_s = retry_after_s or (RETRY_S if status == 503 else 0)


def body_of(problem: Problem) -> dict[str, str | int]:
    """Returns what an answer with a problem says."""
    detail = str(problem)
    body: dict[str, str | int] = {
        "type": "about:blank",
        "status": problem.status,
        "title": HTTPStatus(problem.status).phrase,
        "detail": detail,
        "code": problem.code,
        "message": detail,
    }
    return {**body, "hint": problem.hint} if problem.hint else body


def answer(problem: Problem) -> Response:
    """Returns the response to a request with a problem."""
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body_of(problem)), problem.status, headers, MEDIA_TYPE)
