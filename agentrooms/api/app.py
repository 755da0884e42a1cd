"""The application of one API process: REST, sockets, and what stands around every request."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from agentrooms.api.around import SecureHeaders, Watched
from agentrooms.api.auth.principal import authenticate
from agentrooms.api.home import Home
from agentrooms.api.limits import Limits, RequestLimit
from agentrooms.api.logs import place_of
from agentrooms.api.problems import Problem, answer
from agentrooms.api.routes import ROUTERS
from agentrooms.api.sockets.service import create_sockets
from agentrooms.api.strict import invalid
from agentrooms.chain.port import ChainError, ChainUnreachable
from agentrooms.errors import InvalidInput, Rejection
from agentrooms.events.store import StoreError

PREFLIGHT_S = 600
SOCKET_IO = "/socket.io"
EXPOSED = ["ETag", "Retry-After", "Idempotency-Replayed", "X-Request-Id"]

log = logging.getLogger(__name__)


class Application:
    """The ASGI application over one home: `/ws` and `/socket.io` are sockets, all else is REST."""

    def __init__(self, home: Home) -> None:
        self.sockets = create_sockets(home, partial(authenticate, home), home.limits)
        self.rest = rest_app(home, self._lifespan)
        self._connections = RequestLimit(self._connected, *_bounds(home))
        self._app = Watched(SecureHeaders(self._routed, https=home.public_url.startswith("https://")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or serves one connection."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        await self.sockets.startup()
        try:
            yield
        finally:
            await self.sockets.shutdown()

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_socket_io(scope) and self.sockets.goes_on(scope):  # the rest of a connection that was counted
            await self.sockets.socketio_app(scope, receive, send)
        elif scope["type"] == "websocket" or _is_socket_io(scope):
            await self._connections(scope, receive, send)
        else:
            await self.rest(scope, receive, send)

    async def _connected(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.sockets.socketio_app if _is_socket_io(scope) else self.sockets.asgi)(scope, receive, send)


def _is_socket_io(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return path == SOCKET_IO or path.startswith(f"{SOCKET_IO}/")


def _bounds(home: Home) -> tuple[Limits, int, int]:
    return home.limits, home.settings.requests_per_minute, home.settings.trusted_proxies


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def rest_app(home: Home | None, lifespan: Lifespan | None = None) -> FastAPI:
    """Returns the REST part; without a home it can be described and not asked."""
    app = FastAPI(title="Agentrooms", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.home = home
    for router in ROUTERS:
        app.include_router(router)
    for kind, handle in (
        (RequestValidationError, _invalid),
        (HTTPException, _http),
        (Problem, _problem),
        (Rejection, _refused),
        (InvalidInput, _bad_input),
        (ChainUnreachable, _chain_away),
        (ChainError, _chain_wrong),
        (StoreError, _store_away),
        (Exception, _fault),
    ):
        app.add_exception_handler(kind, handle)
    if home is not None:
        app.add_middleware(RequestLimit, *_bounds(home))
        app.add_middleware(  # around it, so that pages elsewhere can read that they ask too often
            CORSMiddleware,
            allow_origins=sorted(home.origins),
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match"],
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )
    return app


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(invalid(error))


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):
        return answer(error.__cause__)
    texts = {404: "there is no such endpoint", 405: "the endpoint has no such method"}
    return answer(Problem(error.status_code, texts.get(error.status_code, "not possible here"), hint="see /api/docs"))


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Rejection)
    return answer(Problem(409, str(error), hint=error.hint))


async def _bad_input(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInput)
    return answer(Problem(422, str(error), hint=error.hint))


async def _chain_away(_request: Request, _error: Exception) -> Response:
    return answer(Problem(503, "the chain does not answer", hint="try again in a moment"))


async def _chain_wrong(_request: Request, _error: Exception) -> Response:
    return answer(Problem(502, "the chain answered what cannot be used"))


async def _store_away(_request: Request, _error: Exception) -> Response:
    return answer(Problem(503, "the database does not answer", hint="try again in a moment"))


async def _fault(request: Request, error: Exception) -> Response:
    """Answers for a mistake of ours. Its text may hold what a request said, so only its place is logged."""
    log.error("a request failed: %s in %s", type(error).__name__, place_of(error), extra={"path": request.url.path})
    return answer(Problem(500, "a fault of this service", hint="please report it with the request's id"))
