"""What stands around every request: its id, its figures, its log line, and headers that tell browsers to be strict."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrooms.api import logs
from agentrooms.api.limits import PROBES
from agentrooms.api.metrics import RATE_LIMITED, REQUEST_SECONDS, REQUESTS

ID_HEADER = "X-Request-Id"
HSTS_S = 31_536_000  # one year
UNKNOWN = "(none)"  # of requests that no route takes: their paths are anything
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
KINDS = {"rooms": "room", "agents": "agent", "deals": "deal", "swarms": "swarm", "runs": "run"}
"""The field of a log line that holds the id in a path below each collection."""

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = logging.getLogger(__name__)


class Watched:
    """Gives every request an id, counts it, and writes its line when it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id_ = _id_of(Headers(scope=scope).get(ID_HEADER, ""))
        began_s, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = id_
            await send(message)

        with logs.about(request_id=id_):
            try:
                await self._app(scope, receive, sent)
            finally:
                _note(scope, status, time.perf_counter() - began_s)


class SecureHeaders:
    """Adds to every answer what keeps browsers from guessing, framing and telling where one came from."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        }
        if https:
            self._headers["Strict-Transport-Security"] = f"max-age={HSTS_S}; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)  # a page has a policy of its own
            await send(message)

        await self._app(scope, receive, sent)


def _id_of(given: str) -> str:
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)


def _note(scope: Scope, status: int, took_s: float) -> None:
    """Counts a request and writes its line: what was asked by the template of its path, never as it was sent."""
    path = getattr(scope.get("route"), "path", UNKNOWN)
    method = scope["method"] if scope["method"] in METHODS else UNKNOWN
    REQUESTS.labels(method, path, str(status)).inc()
    REQUEST_SECONDS.labels(method, path).observe(took_s)
    if status == 429:
        RATE_LIMITED.labels(path).inc()
    level = logging.DEBUG if path in PROBES and status < 400 else logging.INFO
    facts: dict[str, Any] = {"method": method, "path": path, "status": status, "took_ms": round(took_s * 1_000, 1)}
    log.log(level, "request", extra={**_ids(path, scope.get("path_params", {})), **facts})


def _ids(path: str, params: dict[str, Any]) -> dict[str, str]:
    """Returns the id in a path under its kind's name."""
    kind = KINDS.get(path.strip("/").split("/")[0])
    return {kind: str(next(iter(params.values())))[:100]} if kind and params else {}
