"""What a request to the API may end with instead of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentrooms.errors import AgentroomsError

TEXT_MAX = 300  # of an answer that is none of the API's


class ApiProblem(AgentroomsError):
    """The API refused. `code` is a word for programs; `retry_after_s` is 0 where it named no time."""

    def __init__(
        self, status: int, code: str, detail: str, *, hint: str = "", retry_after_s: float = 0, request_id: str = ""
    ) -> None:
        super().__init__(detail, hint=hint)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.request_id = request_id


class ApiUnreachable(AgentroomsError):
    """No answer came; whether a write was done is not known, unless it is sent again with the same key."""


class AnswerUnreadable(AgentroomsError):
    """The answer is not what this version of the client knows."""


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> ApiProblem:
    """Returns the problem that an answer with an error status is, even one that something in between made."""
    told = _told(body)
    return ApiProblem(
        status,
        str(told.get("code") or f"http_{status}"),
        str(told.get("message") or body[:TEXT_MAX].decode(errors="replace") or f"status {status}"),
        hint=str(told.get("hint", "")),
        retry_after_s=_seconds(headers.get("retry-after", "")),
        request_id=headers.get("x-request-id", ""),
    )


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _seconds(text: str) -> float:
    """Returns the seconds of a Retry-After, 0 for a date or nonsense."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0.0
