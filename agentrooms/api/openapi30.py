"""The OpenAPI document in the words of version 3.0, which is the newest that the packaged Swagger UI reads."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
UNKNOWN = frozenset({"propertyNames"})  # words of 3.1 that 3.0 has nothing for


def older(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a document of version 3.1 as one of version 3.0. What 3.0 has no word for is left out."""
    found = _converted({key: value for key, value in document.items() if key != "webhooks"})
    info = {key: value for key, value in found["info"].items() if key != "summary"}
    info["license"] = {"name": info["license"]["name"]}
    return {**found, "openapi": "3.0.3", "info": info}


def _converted(value: Any, *, sample: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Returns a part of a document; an example is kept as it is, whatever it looks like."""
    if isinstance(value, list):
        return [_converted(one) for one in value]
    if not isinstance(value, dict) or sample:
        return value
    return _schema({key: _converted(one, sample=key in {"default", "enum", "example"}) for key, one in value.items()})


def _schema(schema: Schema) -> Schema:
    """Returns an object in which each word of a schema of 3.1 is one of 3.0."""
    found = {word: value for word, value in schema.items() if word not in UNKNOWN}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if isinstance(found.get("examples"), list):
        found.setdefault("example", next(iter(found["examples"]), None))
        del found["examples"]
    if "prefixItems" in found:
        found["items"] = {"anyOf": found.pop("prefixItems")}
    for bound, word in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(found.get(bound), int | float) and not isinstance(found[bound], bool):
            found[word], found[bound] = found[bound], True
    return _nullable(found)


def _nullable(schema: Schema) -> Schema:
    """Returns a schema that says `nullable` where one of its choices is null."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return schema
    rest = [choice for choice in choices if choice != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(rest) > 1:
        return {**others, "anyOf": rest, "nullable": True}
    (only,) = rest
    return {**({"allOf": [only]} if "$ref" in only else only), **others, "nullable": True}
