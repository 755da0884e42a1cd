"""Whether the API works."""

from __future__ import annotations

from agentrooms.api.models.operations import Alive, Readiness
from agentrooms.client.call import Call, get


def get_health() -> Call[Alive]:
    """Asks whether the process answers."""
    return get("/healthz", Alive)


def get_readiness() -> Call[Readiness]:
    """Asks whether requests can be answered; raises ApiProblem (503) when not."""
    return get("/readyz", Readiness)


def get_metrics() -> Call[bytes]:
    """Gets the figures for Prometheus, as text."""
    return get("/metrics", bytes)
