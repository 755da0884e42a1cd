"""HTTP around what answers requests: an ASGI application for servers, a transport of httpx for one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import httpx

from agentrooms.chain.devnet.rpc import PAYLOAD_MAX_BYTES, Answer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class Endpoint(Protocol):
    """Answers the body of a POST; `client` is who asks, for those who count requests."""

    def post(self, body: bytes, client: str = "") -> Answer: ...


class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """For `httpx.Client(transport=InProcess(endpoint), base_url="http://devnet")`, and its async sister."""

    def __init__(self, endpoint: Endpoint, client: str = "") -> None:
        self._endpoint = endpoint
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request.method, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request.method, await request.aread())

    def _respond(self, method: str, body: bytes) -> httpx.Response:
        answer = self._endpoint.post(body, self._client) if method == "POST" else NOT_ALLOWED
        return httpx.Response(answer.status, headers=list(answer.headers), content=answer.body)


NOT_ALLOWED = Answer(405, b'{"statusCode":405,"error":"Method Not Allowed","message":"use POST"}')


class Asgi:
    """The application: any path, POST only. One request at a time, so a view never sees half a block."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", scope["type"]
        body = await _body(receive)
        client = (scope.get("client") or ("",))[0]
        answer = self._endpoint.post(body, client) if scope["method"] == "POST" else NOT_ALLOWED
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


async def _body(receive: Receive) -> bytes:
    """Reads a body, no further than tells that it is too long."""
    body = b""
    while len(body) <= PAYLOAD_MAX_BYTES:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body", False):
            break
    return body
