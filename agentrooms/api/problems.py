"""Answers that say what is wrong (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from fastapi import Response

from agentrooms.errors import AgentroomsError

MEDIA_TYPE = "application/problem+json"


class Problem(AgentroomsError):
    """A request that is refused, or cannot be answered now; its text goes to the caller."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def answer(problem: Problem) -> Response:
    """Returns the response to a request with a problem."""
    body = {"status": problem.status, "title": HTTPStatus(problem.status).phrase, "detail": str(problem)}
    return Response(msgspec.json.encode(body), problem.status, media_type=MEDIA_TYPE)
