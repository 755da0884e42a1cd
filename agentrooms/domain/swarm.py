"""A swarm: many agents with mock wallets in one room, with a preset, a seed and a speed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from agentrooms.domain.event import Event
from agentrooms.errors import Rejection

SPEEDS = (1, 10, 0)  # times room time; 0 is as fast as the machine goes


class SwarmStatus(StrEnum):
    """Where a swarm stands; a stopped or finished one is completed."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"


class SwarmStarted(Event, frozen=True):
    """A swarm's agents were spawned."""

    swarm: str
    room: str
    owner: str
    preset: str
    buyers: int
    sellers: int


class SwarmPaused(Event, frozen=True):
    """A live swarm's agents fell silent."""

    swarm: str


class SwarmResumed(Event, frozen=True):
    """A live swarm's agents may speak again."""

    swarm: str


class SwarmSpeedSet(Event, frozen=True):
    """A live swarm's rounds run at another pace."""

    swarm: str
    speed: int


class SwarmCompleted(Event, frozen=True):
    """All agents of the swarm have left, or it was stopped."""

    swarm: str
    deals_completed: int


SwarmEvent = SwarmStarted | SwarmPaused | SwarmResumed | SwarmSpeedSet | SwarmCompleted


@dataclass(frozen=True, slots=True)
class Swarm:
    """One swarm; `id` is empty before it starts."""

    id: str = ""
    room: str = ""
    owner: str = ""
    status: SwarmStatus = SwarmStatus.RUNNING
    speed: int = 1
    deals_completed: int = 0


def evolve(swarm: Swarm, event: SwarmEvent) -> Swarm:
    """Returns the swarm after the event."""
    match event:
        case SwarmStarted():
            return Swarm(event.swarm, event.room, event.owner)
        case SwarmPaused():
            return replace(swarm, status=SwarmStatus.PAUSED)
        case SwarmResumed():
            return replace(swarm, status=SwarmStatus.RUNNING)
        case SwarmSpeedSet():
            return replace(swarm, speed=event.speed)
        case SwarmCompleted():
            return replace(swarm, status=SwarmStatus.COMPLETED, deals_completed=event.deals_completed)


def fold(events: Iterable[Event]) -> Swarm:
    """Returns the swarm after its events."""
    swarm = Swarm()
    for event in events:
        assert isinstance(event, SwarmEvent)
        swarm = evolve(swarm, event)
    return swarm


def start(swarm: Swarm, started: SwarmStarted) -> list[SwarmEvent]:
    """Starts a swarm, once. Raises Rejection for one without both sides."""
    if started.buyers < 1 or started.sellers < 1:
        raise Rejection(f"a swarm has buyers and sellers, was {started.buyers} and {started.sellers}")
    if not swarm.id:
        return [started]
    if (swarm.id, swarm.room) != (started.swarm, started.room):
        raise Rejection(f"swarm {swarm.id} already runs in room {swarm.room}")
    return []


def pause(swarm: Swarm) -> list[SwarmEvent]:
    """Pauses a running swarm."""
    _require_alive(swarm)
    return [] if swarm.status is SwarmStatus.PAUSED else [SwarmPaused(swarm.id)]


def resume(swarm: Swarm) -> list[SwarmEvent]:
    """Resumes a paused swarm."""
    _require_alive(swarm)
    return [] if swarm.status is SwarmStatus.RUNNING else [SwarmResumed(swarm.id)]


def set_speed(swarm: Swarm, speed: int) -> list[SwarmEvent]:
    """Sets the pace of a live swarm."""
    _require_alive(swarm)
    if speed not in SPEEDS:
        raise Rejection(f"a swarm's speed is one of {SPEEDS}, was {speed}")
    return [] if swarm.speed == speed else [SwarmSpeedSet(swarm.id, speed)]


def finish(swarm: Swarm, deals_completed: int) -> list[SwarmEvent]:
    """Ends a swarm with the number of its completed deals."""
    if not swarm.id:
        raise Rejection("a swarm ends after it has started")
    if swarm.status is SwarmStatus.COMPLETED:
        return []
    return [SwarmCompleted(swarm.id, deals_completed)]


def _require_alive(swarm: Swarm) -> None:
    if not swarm.id or swarm.status is SwarmStatus.COMPLETED:
        raise Rejection(f"swarm {swarm.id or '(unknown)'} is not running")
