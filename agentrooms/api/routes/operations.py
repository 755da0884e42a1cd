"""Whether it works and how well, and what describes it. Open to everybody: nothing here is anybody's secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from agentrooms import __version__
from agentrooms.api import asyncapi, docs_page, openapi, openapi30
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.metrics import Scrape
from agentrooms.api.models.operations import Alive, Readiness
from agentrooms.api.problems import Problem
from agentrooms.api.readiness import readiness
from agentrooms.api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute, tags=["operations"])
Held = TypeVar("Held")
NO_STORE = {"Cache-Control": "no-store"}


@router.get("/healthz", operation_id="getHealth", summary="Whether this process answers")
async def health() -> Alive:
    """Asks nothing else, and needs no thread: a process that stands on something broken need not be restarted."""
    return Alive(status="ok", version=__version__)


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Whether requests can be answered, part by part",
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
def ready(home: HomeDep, response: Response) -> Readiness:
    """Answers 503 while a part that requests need is away. Redis is none of those."""
    found = readiness(home)
    response.status_code = 200 if found.ready else 503
    response.headers.update(NO_STORE)
    return found


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": 'agentrooms_rooms{state="active"} 3.0\n'}}}},
)
def metrics(request: Request, home: HomeDep) -> Response:
    """Figures of this process and of the database, in Prometheus' text format."""
    scrape = _held(request, "scrape", lambda: Scrape(home.reads))
    return Response(scrape.text(), headers={**NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})


@router.get("/openapi.json", include_in_schema=False)
def openapi_json(request: Request, home: HomeDep) -> dict[str, Any]:
    """The OpenAPI document."""
    return _openapi(request, home)


@router.get("/asyncapi.json", include_in_schema=False)
def asyncapi_json(request: Request, home: HomeDep) -> dict[str, Any]:
    """The AsyncAPI document."""
    return _asyncapi(request, home)


@router.get("/api/docs", include_in_schema=False)
def docs() -> Response:
    """The page of the REST interface."""
    return docs_page.page("docs.html")


@router.get("/api/docs/sockets", include_in_schema=False)
def sockets_docs(request: Request, home: HomeDep) -> Response:
    """The page of the sockets."""
    return docs_page.sockets_page(_asyncapi(request, home))


@router.get("/api/docs/openapi.json", include_in_schema=False)
def older_openapi_json(request: Request, home: HomeDep) -> dict[str, Any]:
    """The OpenAPI document as the page of the REST interface can read it."""
    return openapi30.older(_openapi(request, home))


@router.get("/api/docs/{name}", include_in_schema=False)
def docs_file(name: str) -> Response:
    """A file that the pages need."""
    found = docs_page.file(name)
    if found is None:
        raise Problem(404, "there is no such file")
    return found


def _openapi(request: Request, home: Home) -> dict[str, Any]:
    return _held(request, "openapi", lambda: openapi.document(request.app.routes, home.public_url))


def _asyncapi(request: Request, home: Home) -> dict[str, Any]:
    return _held(request, "asyncapi", lambda: asyncapi.document(home.public_url))


def _held(request: Request, name: str, make: Callable[[], Held]) -> Held:
    """Returns what the application holds under a name, made at the first request for it."""
    state = request.app.state
    if not hasattr(state, name):
        setattr(state, name, make())
    found: Held = getattr(state, name)
    return found
