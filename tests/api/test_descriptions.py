"""OpenAPI, AsyncAPI and Postman say what the API does, with an example of everything."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from jsonschema import Draft7Validator, Draft202012Validator
from schemathesis.openapi import from_dict
from typer.testing import CliRunner

from agentrooms.api import asyncapi, openapi, openapi30
from agentrooms.api.descriptions import asyncapi_document, openapi_document, postman_collection, text_of
from agentrooms.api.models import frames
from agentrooms.api.problems import MEDIA_TYPE
from agentrooms.api.routes import ROUTERS
from agentrooms.api.samples import NoSample, sample
from agentrooms.api.sockets.outbox import Close
from agentrooms.cli import descriptions

ROOT = Path(__file__).resolve().parents[2]
POSTMAN = ROOT / "docs" / "postman" / "agentrooms.json"
SCHEMAS = Path(__file__).parent / "schemas"
OPEN = {
    *("challenge", "verify", "refresh", "getChain", "verifyOwnership"),
    *("listRooms", "getRoom", "getRoomStats", "getRoomHistory", "listRoomEvents", "getRoomState"),
    *("listAgents", "getAgentHistory", "listSwarms", "getSwarm", "getSwarmAnalytics", "listDeals", "getDeal"),
    *("getCertificate", "listNfts", "getNft", "getNftImage"),
    *("getHealth", "getReadiness", "getMetrics"),
}
"""What anybody may ask without saying who it is."""
EITHER = {"getAgent", "logout"}  # more, or the same, for who is signed in


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    return openapi_document("https://rooms.example")


@lru_cache(maxsize=1)
def collection() -> dict[str, Any]:
    return postman_collection()


OPERATIONS = {
    operation["operationId"]: (path, operation) for path, _method, operation in openapi.operations(document())
}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A checker of one of the document's schemas."""
    return Draft202012Validator({**schema, "components": document()["components"]})


# --- OpenAPI ---------------------------------------------------------------------------------------------


def test_the_document_is_one_of_openapi() -> None:
    from_dict(document()).validate()

    assert document()["servers"] == [{"url": "https://rooms.example"}]


def test_every_route_is_described_once() -> None:
    routes = [route for router in ROUTERS for route in router.routes if getattr(route, "include_in_schema", False)]

    assert len(OPERATIONS) == len(routes) > 50


@pytest.mark.parametrize("id_", OPERATIONS)
def test_an_operation_has_words_a_tag_and_examples_that_fit(id_: str) -> None:
    _path, operation = OPERATIONS[id_]
    assert operation["summary"]
    assert operation.get("description"), "a docstring says what it does"
    assert set(operation["tags"]) <= set(openapi.TAGS)

    for place, content in openapi.contents(operation):
        assert "example" in content, place
        validator(content.get("schema", {})).validate(content["example"])


@pytest.mark.parametrize("id_", OPERATIONS)
def test_an_operation_says_what_may_go_wrong(id_: str) -> None:
    _path, operation = OPERATIONS[id_]
    for status, response in operation["responses"].items():
        if status >= "400":
            more = {"application/json"} if (id_, status) == ("getReadiness", "503") else set()
            assert set(response["content"]) == {MEDIA_TYPE, *more}, status
    assert {"429", "500", "503"} <= set(operation["responses"])


def test_who_must_be_signed_in_is_said() -> None:
    signed = {id_ for id_, (_path, operation) in OPERATIONS.items() if operation.get("security")}

    assert set(OPERATIONS) - signed == OPEN - EITHER
    assert {scheme for id_ in signed for one in OPERATIONS[id_][1]["security"] for scheme in one} == {"bearer"}


def test_the_page_gets_a_document_that_it_reads() -> None:
    """Swagger UI of the package knows OpenAPI 3.0 and no newer words."""
    older = openapi30.older(document())

    assert older["openapi"] == "3.0.3"
    from_dict(older).validate()
    text = json.dumps(older["components"])
    assert re.findall(r'"const":|"prefixItems":|"type": "null"|"examples": \[', text) == []


def test_a_nullable_field_stays_one() -> None:
    schema = {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "N", "examples": [3]}

    assert openapi30._converted(schema) == {"type": "integer", "title": "N", "example": 3, "nullable": True}


def test_a_schema_without_an_example_is_noticed() -> None:
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}

    with pytest.raises(NoSample, match="colour has no example"):
        sample(schema, {})


# --- AsyncAPI --------------------------------------------------------------------------------------------


def test_the_document_of_the_sockets_is_one_of_asyncapi() -> None:
    schema = json.loads((SCHEMAS / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))

    Draft7Validator(schema).validate(asyncapi_document())


def test_a_document_that_is_none_is_noticed() -> None:
    schema = json.loads((SCHEMAS / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))
    broken = asyncapi_document()
    broken["operations"]["send_auth"]["action"] = "shout"

    with pytest.raises(jsonschema.ValidationError):
        Draft7Validator(schema).validate(broken)


def test_every_message_is_described_with_an_example_that_its_model_reads() -> None:
    found = asyncapi_document()
    models = {asyncapi.type_of(model): model for model in (*asyncapi.client_messages(), *asyncapi.server_messages())}

    assert set(found["components"]["messages"]) == set(models)
    for name, model in models.items():
        (example,) = found["components"]["messages"][name]["examples"]
        assert model.model_validate(example["payload"]).model_dump(by_alias=True)["type"] == name


def test_every_frame_of_an_event_is_among_them() -> None:
    events = {one for one in vars(frames).values() if isinstance(one, type) and issubclass(one, frames.EventFrame)}

    assert events - {frames.EventFrame} <= set(asyncapi.server_messages())


def test_every_reason_to_close_is_explained() -> None:
    assert set(asyncapi.CLOSE_CODES) == set(Close)


# --- Postman ---------------------------------------------------------------------------------------------


def test_the_committed_collection_is_up_to_date() -> None:
    """Run `agentrooms postman --out docs/postman/agentrooms.json`."""
    assert POSTMAN.read_text(encoding="utf-8") == text_of(collection())


def test_the_collection_has_every_operation_in_its_folder() -> None:
    names = {item["name"].split(":")[0]: folder["name"] for folder in collection()["item"] for item in folder["item"]}
    assert names == {id_: operation["tags"][0] for id_, (_path, operation) in OPERATIONS.items()}


def test_signing_in_keeps_the_tokens() -> None:
    items = {item["name"].split(":")[0]: item for folder in collection()["item"] for item in folder["item"]}

    (script,) = items["verify"]["event"]
    said = "\n".join(script["script"]["exec"])
    assert all(f"pm.collectionVariables.set('{name}'" in said for name in ("accessToken", "refreshToken"))
    assert json.loads(items["verify"]["request"]["body"]["raw"])["nonce"] == "{{nonce}}"
    assert items["verify"]["request"]["auth"] == {"type": "noauth"}
    assert "auth" not in items["me"]["request"], "it takes the collection's bearer token"


# --- The commands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mark"), [("openapi", "openapi"), ("asyncapi", "asyncapi"), ("postman", "info")])
def test_a_command_prints_or_writes_a_description(
    name: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    descriptions.register(app)

    printed = CliRunner().invoke(app, [name, "--url", "https://rooms.example"])
    written = CliRunner().invoke(app, [name, "--out", "it.json", "--url", "https://rooms.example"])

    assert (printed.exit_code, written.exit_code) == (0, 0), printed.output
    assert mark in json.loads(printed.stdout)
    assert (tmp_path / "it.json").read_text(encoding="utf-8") == printed.stdout
