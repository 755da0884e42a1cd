"""Examples composed from schemas: what a field says of itself, else what a field of its name usually holds."""

from __future__ import annotations

from types import NoneType
from typing import Any

from agentrooms.errors import AgentroomsError

Schema = dict[str, Any]

DEPTH_MAX = 12
BY_NAME: dict[str, Any] = {
    "agentId": "agent_4q7rx2l3vnk5e",
    "asOfSeq": 420,
    "atFault": ["agent_o3yt6h2v5nlpa"],
    "at": "2026-11-22T10:00:00.000Z",
    "code": "rate_limited",
    "collection": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
    "comparableBy": "grade",
    "dealId": "deal_k3vq5x2ryw7la",
    "detail": "owner_changed",
    "hash": "9f" * 32,
    "head": {"room_lg4yq2x7mk3ve": 420},
    "hint": "",
    "id": "m1",
    "kind": "double_vote",
    "logId": "a3f0c2d4e5b6",
    "message": "Make it 48.25 USDC and we can talk.",
    "name": "Punk market",
    "quoteId": "quote_4q7rx2l3vnk5e_37",
    "refersTo": "quote_c7dq2m5xk4rwe_36",
    "roomId": "room_lg4yq2x7mk3ve",
    "signature": "0x" + "1b" * 65,
    "swarmId": "swarm_m4k7j2h5g3fda",
    "text": "Make it 48.25 USDC and we can talk.",
    "to": "agent_o3yt6h2v5nlpa",
    "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
    "tokenId": "3100",
    "txHash": "0x" + "1c" * 32,
    "userId": "user_m2c5rk7xq3zvy",
    "verifier": "verifier_3",
    "wallet": "0x52908400098527886e0f7030069857d2e4169ee7",
    "walletAddress": "0x52908400098527886e0f7030069857d2e4169ee7",
}

_TYPES: dict[str, type] = {
    "object": dict,
    "array": list,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": NoneType,
}


class NoSample(AgentroomsError):
    """A schema says nothing that an example could be made of."""


def sample(schema: Schema, schemas: dict[str, Schema], name: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Returns an example of a schema. `schemas` holds those it refers to, by name.

    Raises NoSample with the place of the field that has none.
    """
    return _sample(schema, schemas, (name,) if name else (), 0)


def _sample(schema: Schema, schemas: dict[str, Schema], place: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401
    if depth > DEPTH_MAX:
        raise NoSample(f"{'.'.join(place)} is nested too deeply")
    if "$ref" in schema:
        target = schemas[schema["$ref"].rpartition("/")[2]]
        own = {key: value for key, value in schema.items() if key != "$ref"}
        return _sample({**target, **own}, schemas, place, depth + 1)
    match schema:
        case {"example": value} | {"examples": [value, *_]} | {"const": value}:
            return value
        case {"anyOf": choices} | {"oneOf": choices}:
            return _of_choice(choices, schemas, place, depth)
        case {"allOf": [only]}:
            return _sample(only, schemas, place, depth + 1)
        case {"type": "object"}:
            return _of_object(schema, schemas, place, depth)
        case {"enum": [value, *_]}:
            return value
    if place and _fits(BY_NAME.get(place[-1]), schema):
        return BY_NAME[place[-1]]
    return _of_kind(schema, schemas, place, depth)


def _fits(value: Any, schema: Schema) -> bool:  # noqa: ANN401
    """Says whether a usual value is of the schema's type: one name may stand for several."""
    return value is not None and isinstance(value, _TYPES.get(schema.get("type", ""), str))


def _of_kind(schema: Schema, schemas: dict[str, Schema], place: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401
    match schema:
        case {"type": "array", "items": items}:
            return [_sample(items, schemas, place, depth + 1)]
        case {"type": "array", "prefixItems": items}:
            return [_sample(item, schemas, place, depth + 1) for item in items]
        case {"default": value}:
            return value
        case {"type": "boolean"}:
            return True
        case {"type": "integer"}:
            return int(schema.get("minimum", 1))
        case {"type": "null"}:
            return None
    raise NoSample(f"{'.'.join(place) or 'the value'} has no example", hint="give its field `examples=[…]`")


def _of_choice(choices: list[Schema], schemas: dict[str, Schema], place: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401
    """Returns an example of the first choice that has one, of nothing at all only when no other does."""
    for choice in sorted(choices, key=lambda one: one.get("type") == "null"):
        try:
            return _sample(choice, schemas, place, depth + 1)
        except NoSample:
            continue
    raise NoSample(f"{'.'.join(place)} has no example", hint="give its field `examples=[…]`")


def _of_object(schema: Schema, schemas: dict[str, Schema], place: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401
    if "properties" not in schema and place and _fits(BY_NAME.get(place[-1]), schema):
        return BY_NAME[place[-1]]
    found = {}
    for name, inner in schema.get("properties", {}).items():
        try:
            found[name] = _sample(inner, schemas, (*place, name), depth + 1)
        except NoSample:
            if name in schema.get("required", ()):
                raise
    return found
