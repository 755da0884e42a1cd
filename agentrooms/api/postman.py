"""A Postman collection of the whole REST interface, made from its OpenAPI document: folders by tag, sign-in included."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from agentrooms.api.openapi import TAGS, Document, Operation, operations
from agentrooms.api.samples import NoSample, sample

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
VARIABLES = {
    "accessToken": "",
    "refreshToken": "",
    "walletAddress": "0x",
    "nonce": "",
    "message": "",
    "signature": "0x",
}
ABOUT = """\
Sign in: set `walletAddress`, send *auth / challenge*, sign the variable `message` with the wallet (personal_sign), put the
result into `signature`, and send *auth / verify*. The tokens are then kept in variables and sent along. `baseUrl` is where the
API is.
"""
_KEPT = {
    "challenge": ("nonce", "message"),
    "verify": ("accessToken", "refreshToken"),
    "refresh": ("accessToken", "refreshToken"),
}
_GIVEN = {
    "challenge": {"walletAddress": "{{walletAddress}}"},
    "verify": {"walletAddress": "{{walletAddress}}", "signature": "{{signature}}", "nonce": "{{nonce}}"},
    "refresh": {"refreshToken": "{{refreshToken}}"},
    "logout": {"refreshToken": "{{refreshToken}}"},
}


def collection(document: Document) -> dict[str, Any]:
    """Returns the collection (format 2.1.0) of an OpenAPI document."""
    url = document["servers"][0]["url"]
    folders: dict[str, list[dict[str, Any]]] = {}
    for path, method, operation in operations(document):
        folders.setdefault(operation["tags"][0], []).append(_item(document, path, method, operation))
    order = sorted(folders, key=lambda tag: (list(TAGS).index(tag) if tag in TAGS else len(TAGS), tag))
    return {
        "info": {
            "_postman_id": str(uuid5(NAMESPACE_URL, "agentrooms")),
            "name": "Agentrooms",
            "description": f"{document['info']['description']}\n{ABOUT}",
            "version": document["info"]["version"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{accessToken}}", "type": "string"}]},
        "variable": [
            {"key": "baseUrl", "value": url},
            *({"key": name, "value": value} for name, value in VARIABLES.items()),
        ],
        "item": [{"name": tag, "description": TAGS.get(tag, ""), "item": folders[tag]} for tag in order],
    }


def _item(document: Document, path: str, method: str, operation: Operation) -> dict[str, Any]:
    name = operation["operationId"]
    request: dict[str, Any] = {
        "method": method.upper(),
        "description": operation.get("description") or operation.get("summary", ""),
        "header": _headers(operation, method),
        "url": _url(document, path, operation),
    }
    if not operation.get("security"):
        request["auth"] = {"type": "noauth"}
    if "requestBody" in operation:
        request["body"] = {
            "mode": "raw",
            "raw": json.dumps(
                _GIVEN.get(name) or operation["requestBody"]["content"]["application/json"]["example"],
                indent=2,
                ensure_ascii=False,
            ),
            "options": {"raw": {"language": "json"}},
        }
    item: dict[str, Any] = {"name": f"{name}: {operation.get('summary', '')}", "request": request, "response": []}
    if name in _KEPT:
        item["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": _script(_KEPT[name])}}]
    return item


def _headers(operation: Operation, method: str) -> list[dict[str, str]]:
    found = [{"key": "Accept", "value": "application/json"}]
    if "requestBody" in operation:
        found.append({"key": "Content-Type", "value": "application/json"})
    if method != "get" and operation.get("security"):
        found.append({"key": "Idempotency-Key", "value": "{{$guid}}"})
    return found


def _url(document: Document, path: str, operation: Operation) -> dict[str, Any]:
    parts = [re.sub(r"^\{(.+)\}$", r":\1", part) for part in path.strip("/").split("/")]
    url: dict[str, Any] = {"raw": "{{baseUrl}}/" + "/".join(parts), "host": ["{{baseUrl}}"], "path": parts}
    for place, word in (("query", "query"), ("path", "variable")):
        held = [_parameter(document, one) for one in operation.get("parameters", []) if one["in"] == place]
        if held:
            url[word] = held
    for query in url.get("query", []):
        query["disabled"] = True  # all are optional; who wants one ticks it
    return url


def _parameter(document: Document, parameter: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    try:
        value = sample({**parameter.get("schema", {}), **_example(parameter)}, schemas, parameter["name"])
    except NoSample:
        value = ""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return {"key": parameter["name"], "value": text, "description": parameter.get("description", "")}


def _example(parameter: dict[str, Any]) -> dict[str, Any]:
    return {"example": parameter["example"]} if "example" in parameter else {}


def _script(names: tuple[str, ...]) -> list[str]:
    """Returns what keeps fields of an answer in the collection's variables."""
    return [
        "pm.test('answered', () => pm.response.to.be.success);",
        "const body = pm.response.code < 300 ? pm.response.json() : {};",
        *(f"if (body.{name}) pm.collectionVariables.set('{name}', body.{name});" for name in names),
    ]
