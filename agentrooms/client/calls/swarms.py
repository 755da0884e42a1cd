"""Swarms."""

from __future__ import annotations

from typing import Literal

from agentrooms.api.models.swarms import AnalyticsAnswer, SwarmAnswer, SwarmsPage
from agentrooms.client.call import Call, at, get, write


def spawn_swarm(
    *,
    room_id: str | None = None,
    preset: str | None = None,
    buyers: int | None = None,
    sellers: int | None = None,
    seed: int | None = None,
    speed: Literal[0, 1, 10] | None = None,
) -> Call[SwarmAnswer]:
    """Spawns a swarm by preset or by numbers of buyers and sellers; without a room it opens its own."""
    return write(
        "POST",
        "/swarms/spawn",
        SwarmAnswer,
        room_id=room_id,
        preset=preset,
        buyers=buyers,
        sellers=sellers,
        seed=seed,
        speed=speed,
    )


def list_swarms(*, room_id: str | None = None, cursor: str | None = None, limit: int | None = None) -> Call[SwarmsPage]:
    """Lists swarms by id."""
    return get("/swarms", SwarmsPage, room_id=room_id, cursor=cursor, limit=limit)


def get_swarm(swarm: str) -> Call[SwarmAnswer]:
    """Gets a swarm with its agents."""
    return get(at("swarms", swarm), SwarmAnswer)


def steer_swarm(
    swarm: str, action: Literal["pause", "resume", "stop", "speed"], *, speed: Literal[0, 1, 10] | None = None
) -> Call[SwarmAnswer]:
    """Pauses, resumes or stops one's swarm, or sets its speed."""
    return write("PATCH", at("swarms", swarm), SwarmAnswer, action=action, speed=speed)


def get_swarm_analytics(swarm: str) -> Call[AnalyticsAnswer]:
    """Gets what a swarm did together."""
    return get(at("swarms", swarm, "analytics"), AnalyticsAnswer)


def export_swarm(
    swarm: str, *, format: Literal["ndjson", "csv", "zip"] | None = None, table: str | None = None
) -> Call[bytes]:
    """Gets what a swarm did as a file; `table` is the one that a CSV holds."""
    return get(at("swarms", swarm, "export"), bytes, format=format, table=table)
