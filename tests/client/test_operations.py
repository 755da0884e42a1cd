"""The client has every operation of the API, with the path, the parameters and the answer that the API has."""

from __future__ import annotations

import inspect
import json
import re
from functools import lru_cache
from typing import Any, get_type_hints

import pytest
from fastapi.routing import APIRoute

from agentrooms.api.descriptions import openapi_document
from agentrooms.api.openapi import operations
from agentrooms.api.routes import ROUTERS
from agentrooms.client import AsyncClient, Client, Trader
from agentrooms.client.asking import Operation
from agentrooms.client.call import Call
from agentrooms.client.operations import Operations

ROUTES = {
    route.operation_id: route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and route.include_in_schema and route.operation_id
}
BUYER = Trader(
    room_id="room_a",
    role="buyer",
    communication_style="casual",
    strategy="patient",
    starting_price=40,
    max_price="52.50",
)


def name_of(operation_id: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation_id).lower()


@lru_cache(maxsize=1)
def described() -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for _path, _method, operation in operations(openapi_document())}


def call_of(name: str) -> Call[Any]:
    """A call with a value for every parameter."""
    method: Operation[..., Any] = getattr(Operations, name)
    hints = get_type_hints(method.make)
    return method.make(**{one: _value(one, hints[one]) for one in inspect.signature(method.make).parameters})


def _value(name: str, hint: Any) -> Any:
    if hint is Trader:
        return BUYER
    if "Sequence" in str(hint):
        return ["deal_completed"]
    if name in {"after", "limit", "seed", "at_seq", "at_event", "buyers", "sellers", "expires_in_seconds"}:
        return 3
    return f"the-{name}"


def test_every_operation_is_a_method_of_both_clients() -> None:
    wanted = {name_of(id_) for id_ in ROUTES}

    assert {name for name, one in vars(Operations).items() if isinstance(one, Operation)} == wanted
    assert all(
        callable(getattr(client, name)) for client in (Client("http://x"), AsyncClient("http://x")) for name in wanted
    )


@pytest.mark.parametrize("id_", ROUTES)
def test_a_call_asks_its_route_and_reads_its_model(id_: str) -> None:
    route, call = ROUTES[id_], call_of(name_of(id_))

    assert call.method in (route.methods or ())
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), call.path), call.path
    answered = route.response_model if route.response_model is not None else bytes
    assert call.answer is answered


@pytest.mark.parametrize("id_", ROUTES)
def test_a_call_has_no_parameter_that_its_route_has_not(id_: str) -> None:
    """And all fields that the route requires."""
    operation, call = described()[id_], call_of(name_of(id_))
    assert set(call.query) <= {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
    if "requestBody" not in operation:
        assert call.body is None
        return
    body = json.loads(call.body or b"{}")
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schemas = openapi_schemas()
    refs = [one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
    model = schemas[refs[0].rpartition("/")[2]]
    assert set(body) <= set(model["properties"])
    assert set(model.get("required", ())) <= set(body)


@lru_cache(maxsize=1)
def openapi_schemas() -> dict[str, Any]:
    found: dict[str, Any] = openapi_document()["components"]["schemas"]
    return found


@pytest.mark.parametrize("id_", [id_ for id_, route in ROUTES.items() if "GET" not in (route.methods or ())])
def test_a_write_of_who_is_signed_in_can_be_sent_again(id_: str) -> None:
    call = call_of(name_of(id_))

    assert (call.key is not None) == (id_ not in {"challenge", "verify", "refresh", "logout"})
