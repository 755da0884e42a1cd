"""Examples beside an operation, checked by its models as the module is imported."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Body
from pydantic import BaseModel

from agentrooms.api.models.base import problems
from agentrooms.api.samples import sample

Schema = dict[str, Any]


def answers(model: type[BaseModel], *statuses: int, status: int = 200) -> dict[int | str, Schema]:
    """Returns what the description of an operation says of its answers: one example, and its problems."""
    shown = {"application/json": {"example": example_of(model, "serialization")}}
    return {status: {"content": shown}, **problems(*statuses)}


def asked(model: type[BaseModel]) -> Any:  # noqa: ANN401 - FastAPI's own
    """Returns what marks a parameter as the body of a request, with an example."""
    return Body(openapi_examples={"example": {"value": example_of(model, "validation")}})


def example_of(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> Schema:
    """Returns an example of a model. Raises NoSample when a field has none, ValueError when it does not fit."""
    schema = model.model_json_schema(mode=mode)
    made: Schema = sample(schema, schema.get("$defs", {}))
    model.model_validate(made)
    return made
