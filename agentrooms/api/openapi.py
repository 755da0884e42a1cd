"""The OpenAPI document: what the routes declare, with what holds for all of them added in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from agentrooms import __version__
from agentrooms.api.models.base import ProblemBody
from agentrooms.api.problems import CODES, MEDIA_TYPE
from agentrooms.api.samples import NoSample, sample

DESCRIPTION = """\
Rooms in which autonomous agents negotiate NFT trades under signed mandates.

* Sign in with a wallet: `POST /auth/challenge`, sign the message, `POST /auth/verify`; then send `Authorization: Bearer …`.
* Money goes out as an exact number of USDC and, beside it, as whole micro-USDC in a string. It comes in as a number or a
  string of at most two decimals.
* Lists are pages: `limit` and `cursor`; `nextCursor` is null on the last one.
* Writes take an `Idempotency-Key`: sent again with the same key, a request is done once and answered the same.
* What is wrong is said as `application/problem+json` (RFC 9457) with `code`, `message` and `hint`.
* A read after one's own write sees it.

Rooms are watched over sockets: `/api/docs/sockets`.
"""
TAGS = {
    "auth": "Sign in with a wallet, stay signed in, sign out",
    "rooms": "Rooms, their figures, their events, their state at any moment",
    "agents": "Mandates to sign, agents to spawn, one's own agents",
    "swarms": "Many agents at once, by preset",
    "deals": "Deals, with what proves them",
    "nfts": "Items, their pictures, who owns them",
    "wallet": "Approvals, permits and cancellations as transactions to sign",
    "account": "Dashboard, portfolio, notifications, webhooks, e-mail; export and erasure",
    "runs": "Reproducible simulations and forks of them",
    "operations": "Whether it works, and how well",
}
_TAG_OF = {"auth": "auth", "me": "account", "chain": "wallet", "healthz": "operations", "readyz": "operations"} | {
    "metrics": "operations"
}
_FASTAPIS_OWN = {"$ref": "#/components/schemas/HTTPValidationError"}
_PROBLEM = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
_METHODS = ("get", "post", "put", "patch", "delete")
_ANYWHERE = (429, 500, 503)
_WITH_BODY = (400, 408, 413, 422)
_SIGNED_IN = (401, 403)
BEARER = "bearer"

Document = dict[str, Any]
Operation = dict[str, Any]


def document(routes: Sequence[BaseRoute], public_url: str) -> Document:
    """Returns the OpenAPI 3.1 document of routes that are served at an origin."""
    found: Document = get_openapi(
        title="Agentrooms",
        version=__version__,
        summary="Agents that negotiate NFT trades",
        description=DESCRIPTION,
        routes=routes,
        servers=[{"url": public_url}],
        tags=[{"name": name, "description": about} for name, about in TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _add_models(schemas, ProblemBody)
    schemes = components.get("securitySchemes", {})
    components["securitySchemes"] = {
        BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "`accessToken` of sign-in"}
    }
    for path, method, operation in operations(found):
        operation.setdefault("tags", [tag_of(path)])
        _secure(operation, set(schemes))
        _add_problems(operation, method)
        _add_samples(operation, schemas)
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Operation]]:
    """Yields path, method and operation of all that can be asked."""
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in _METHODS if method in item)


def tag_of(path: str) -> str:
    """Returns the tag of a path: its first part, mostly."""
    first = path.split("/")[1]
    return _TAG_OF.get(first, first)


def contents(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields, by place, each text body of an operation: the request's and those of good answers."""
    places = [("request", operation["requestBody"])] if "requestBody" in operation else []
    places += [(status, one) for status, one in operation["responses"].items() if status.startswith("2")]
    for place, held in places:
        yield from ((place, one) for kind, one in held.get("content", {}).items() if "json" in kind or "text/" in kind)


def _add_models(schemas: dict[str, Any], model: type[BaseModel]) -> None:
    _, made = models_json_schema([(model, "serialization")], ref_template="#/components/schemas/{model}")
    schemas.update(made["$defs"])


def _secure(operation: Operation, schemes: set[str]) -> None:
    """Names the one scheme there is, whatever the dependency that asks for it is called.

    Who may but need not be signed in keeps the choice.
    """
    asked = operation.get("security", [])
    if any(schemes & set(one) for one in asked):
        open_too: list[dict[str, list[str]]] = [{}] if {} in asked else []
        operation["security"] = [{BEARER: []}, *open_too]


def _add_problems(operation: Operation, method: str) -> None:
    """Adds the problems that may come of any request of its kind, and to all what they look like."""
    statuses = [*_ANYWHERE]
    if "requestBody" in operation:
        statuses += _WITH_BODY
    if operation.get("parameters"):
        statuses.append(422)
    if operation.get("security"):
        statuses += _SIGNED_IN
    if method != "get":
        statuses.append(409)
    responses = operation["responses"]
    for status in sorted(statuses):
        responses.setdefault(str(status), {"description": CODES[status].replace("_", " ").capitalize()})
    for response in (one for status, one in responses.items() if status >= "400"):
        held = response.get("content", {}).items()
        content = {kind: one for kind, one in held if one.get("schema") != _FASTAPIS_OWN}
        response["content"] = {MEDIA_TYPE: _PROBLEM, **content}


def _add_samples(operation: Operation, schemas: dict[str, Any]) -> None:
    """Adds an example to each body that has none of its own, where its schema gives one."""
    for _place, content in contents(operation):
        schema = content.get("schema", {})
        if schema and "example" not in content:
            with suppress(NoSample):  # tests/api/test_descriptions.py finds it
                content["example"] = sample(schema, schemas)
