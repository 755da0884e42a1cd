"""Whether the API works, as it goes out."""

from __future__ import annotations

from pydantic import Field

from agentrooms.api.models.base import Wire


class Alive(Wire):
    """The process answers."""

    status: str = Field(examples=["ok"])
    version: str = Field(examples=["0.1.0"])


class PartState(Wire):
    """One part that the API stands on."""

    name: str = Field(examples=["postgres"])
    ok: bool
    required: bool = Field(description="Whether requests fail without it")
    detail: str = Field(examples=["answers"])


class Readiness(Wire):
    """Whether requests can be answered."""

    ready: bool
    parts: tuple[PartState, ...]
