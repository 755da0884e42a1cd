"""The AsyncAPI document of the sockets, made from the models that the sockets themselves use."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from agentrooms import __version__
from agentrooms.api.models.frames import AnyEventFrame
from agentrooms.api.models.socket import ClientMessage, ServerMessage
from agentrooms.api.samples import Schema, sample

SUBPROTOCOL = "agentrooms.v1"
CHANNEL = "socket"
DESCRIPTION = """\
Everything that happens in a room, as it happens, in order.

1. Connect to `/ws` (subprotocol `agentrooms.v1`), or with Socket.IO (`io(url, {auth: {token}})`), where a message's name is
   its `type`.
2. Say `auth` with an access token, or `spectate`; never put the token into the address.
3. Say `join_room`. With `after` (the `seq` of the last event you have) and its `logId`, what you missed follows
   (`recovered: true`); otherwise a snapshot comes.

Every event of a room is exactly one frame with `seq`, dense and in order: a gap is a fault of the connection, never of the
room. `room_stats` and `deal_verifying` have no `seq`: only the newest counts. Heartbeats (`hb`) name the last `seq` of each
room, so that a quiet client notices a lost tail.
"""
CLOSE_CODES = {
    1009: "a frame was too large",
    1012: "the server restarts: come again and resume",
    1013: "no more connections now: come again later",
    4400: "too many frames that are none of the protocol",
    4401: "not signed in, or no longer",
    4403: "the page's origin may not connect",
    4408: "no first message in time",
    4409: "lagged: come again and resume with `after`",
    4429: "too many messages or connections",
}
Message = type[BaseModel]


def client_messages() -> tuple[Message, ...]:
    """Returns the models of what clients say."""
    return _members(ClientMessage)


def server_messages() -> tuple[Message, ...]:
    """Returns the models of what the server says: answers and news first, then the frames of events."""
    return (*_members(ServerMessage), *get_args(AnyEventFrame))


def type_of(model: Message) -> str:
    """Returns the `type` of a message, which is its name on the wire."""
    (name,) = get_args(model.model_fields["type"].annotation)
    return str(name)


def document(public_url: str) -> dict[str, Any]:
    """Returns the AsyncAPI 3.0 document of the sockets at an origin."""
    models: list[tuple[Message, JsonSchemaMode]] = [(model, "validation") for model in client_messages()]
    models += [(model, "serialization") for model in server_messages()]
    _, made = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Schema] = _plain(made["$defs"])
    said, heard = client_messages(), server_messages()
    url = urlsplit(public_url)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Agentrooms sockets",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "api": {
                "host": url.netloc,
                "protocol": "wss" if url.scheme == "https" else "ws",
                "description": f"Subprotocol {SUBPROTOCOL}; Socket.IO clients connect to the same origin",
            }
        },
        "channels": {
            CHANNEL: {
                "address": "/ws",
                "title": "The socket",
                "description": "Closes with a reason: "
                + "; ".join(f"{code} {why}" for code, why in CLOSE_CODES.items()),
                "messages": {type_of(model): _ref("messages", type_of(model)) for model in (*said, *heard)},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            **{f"send_{type_of(model)}": _operation("receive", model) for model in said},
            **{f"hear_{type_of(model)}": _operation("send", model) for model in heard},
        },
        "components": {
            "messages": {type_of(model): _message(model, schemas) for model in (*said, *heard)},
            "schemas": schemas,
        },
    }


def _plain(found: Any) -> Any:  # noqa: ANN401 - any JSON
    """Returns schemas as AsyncAPI has them: a discriminator is the name of a property, no more."""
    match found:
        case {"discriminator": {"propertyName": name}}:
            return {**{key: _plain(value) for key, value in found.items()}, "discriminator": name}
        case dict():
            return {key: _plain(value) for key, value in found.items()}
        case list():
            return [_plain(value) for value in found]
    return found


def _members(union: Any) -> tuple[Message, ...]:  # noqa: ANN401 - a type expression
    """Returns the members of an annotated union."""
    return get_args(get_args(union)[0])


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _operation(action: str, model: Message) -> dict[str, Any]:
    """Returns an operation, seen from the server: it receives what clients say."""
    name = type_of(model)
    return {
        "action": action,
        "summary": _summary(model),
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{name}"}],
    }


def _message(model: Message, schemas: dict[str, Schema]) -> dict[str, Any]:
    name = type_of(model)
    return {
        "name": name,
        "title": name,
        "summary": _summary(model),
        "payload": _ref("schemas", model.__name__),
        "examples": [{"name": name, "payload": sample(schemas[model.__name__], schemas)}],
    }


def _summary(model: Message) -> str:
    return " ".join((model.__doc__ or "").split())
