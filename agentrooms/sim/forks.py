"""Forks and re-execution: the same run again, as it was or with something changed from a round on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import msgspec

from agentrooms.actors import messages
from agentrooms.actors.messages import Message, Refused
from agentrooms.domain.agent import AgentLeft, AgentReconfigured, AgentSpawned
from agentrooms.domain.event import Event
from agentrooms.domain.money import parse_usdc
from agentrooms.domain.terms import LeaveReason, StrategyName, Style
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.record import Recorded, decode_line
from agentrooms.sim import archive, folders
from agentrooms.sim.archive import Manifest, Parent
from agentrooms.sim.engine import Engine, Progress
from agentrooms.sim.genesis import COMPLETE, WATCHER
from agentrooms.sim.settings import Intervention, check

Tick = Callable[[int], None]
Word = TypeVar("Word", StrategyName, Style)


class Difference(msgspec.Struct, frozen=True):
    """The first line in which two logs differ, counted from 1; None where a log has ended."""

    line: int
    recorded: bytes | None
    recomputed: bytes | None


def reexecute(manifest: Manifest, progress: Progress | None = None, tick: Tick | None = None) -> list[bytes]:
    """Runs an archive's settings again and returns the lines of the log that come out.

    `tick` is told each round as it begins, also one without events. Raises InvalidInput for settings no run has.
    """
    check(manifest.settings)
    engine = Engine(manifest.settings)
    if tick is not None:
        engine.runtime.watch(f"room:{engine.room_id}", partial(_tick, tick))
    engine.run(progress)
    return archive.lines_of(engine)


def _tick(tick: Tick, message: Message) -> None:
    if isinstance(message, messages.Tick):
        tick(message.round)


def first_difference(recorded: list[bytes], recomputed: list[bytes]) -> Difference | None:
    """Returns where two logs part, None when they are equal to the byte."""
    shared = sum(1 for _pair in takewhile(lambda pair: pair[0] == pair[1], zip(recorded, recomputed, strict=False)))
    if shared == len(recorded) == len(recomputed):
        return None
    return Difference(
        shared + 1,
        recorded[shared] if shared < len(recorded) else None,
        recomputed[shared] if shared < len(recomputed) else None,
    )


def fork(source: Path, out: Path, *, at: int, changes: list[str], progress: Progress | None = None) -> Manifest:
    """Writes a run that equals `source` up to the end of the round of event `at` and differs from there on.

    Changes read `agent.ID.strategy=patient`; also `style`, `limit` (USDC) and `removed=true`. Raises
    InvalidInput for a change that cannot be made there, or that would change nothing.
    """
    folders.require_free(out)
    manifest = archive.read_manifest(source)
    recorded = archive.read_events(source)
    round_, shared = boundary(recorded, at, manifest)
    agents = {a for r in recorded[:shared] if r.type == "agent.spawned" for a in [getattr(r.event, "agent", "")]}
    made = tuple(_intervention(change, round_ + 1, agents) for change in changes)
    if not made:
        raise InvalidInput("a fork changes something", hint="--set agent.ID.strategy=patient")
    earlier = manifest.settings.interventions
    settings = msgspec.structs.replace(manifest.settings, interventions=(*earlier, *made))
    check(settings)
    engine = Engine(settings)
    refused: list[Refused] = []
    engine.runtime.watch(WATCHER, lambda message: refused.append(message) if isinstance(message, Refused) else None)
    engine.run(progress)
    lines = archive.lines_of(engine)
    if lines[:shared] != [r.line for r in recorded[:shared]]:
        raise ForkParted(
            f"this version of agentrooms does not re-execute the first {shared} events of {source} to the byte",
            hint="`agentrooms verify --re-execute` shows where; fork with the version that made the archive",
        )
    idle = _idle([decode_line(line).event for line in lines], made)
    if idle:
        raise _NothingChanged(*idle[0], refused)
    if lines == [r.line for r in recorded]:
        raise InvalidInput(f"the fork is {source} again, to the byte: what it sets was so", hint=_ELSEWHERE)
    return archive.write(out, engine, parent=Parent(manifest.head, shared))


_ELSEWHERE = "`agentrooms replay` shows who can be changed when; choose another change, or an earlier event"


class _NothingChanged(InvalidInput):
    """A change of a fork has no effect at its round."""

    def __init__(self, intervention: Intervention, field: str, refused: list[Refused]) -> None:
        agent = intervention.agent
        so = "has left already" if field == "removed" else f"has that {field} already"
        why = next((refusal.why for refusal in refused if refusal.agent == agent), f"agent {agent} {so}")
        super().__init__(f"the change of {agent} in round {intervention.round} does not happen: {why}", hint=_ELSEWHERE)


def _idle(events: list[Event], made: tuple[Intervention, ...]) -> list[tuple[Intervention, str]]:
    """Returns the interventions that no event of their round follows from, with the field they were to change."""
    known: dict[str, AgentSpawned | AgentReconfigured] = {}
    happened: set[tuple[str, str, object]] = set()
    for event in events:
        match event:
            case AgentSpawned():
                known[event.agent] = event
            case AgentReconfigured():
                before, known[event.agent] = known[event.agent], event
                if event.round == made[0].round:
                    for field in ("strategy", "style", "mandate_hash"):
                        value = getattr(event, field)
                        if value != getattr(before, field):
                            happened.add((event.agent, field, None if field == "mandate_hash" else value))
            case AgentLeft(reason=LeaveReason.USER_REMOVED) if event.round == made[0].round:
                happened.add((event.agent, "removed", True))
    wanted = ((i, *_wish(i)) for i in made)
    return [
        (i, "limit" if field == "mandate_hash" else field)
        for i, field, value in wanted
        if (i.agent, field, value) not in happened
    ]


def _wish(intervention: Intervention) -> tuple[str, object]:
    """Returns the field an intervention changes, and to what; a new mandate's hash is not known before."""
    if intervention.removed:
        return "removed", True
    if intervention.strategy is not None:
        return "strategy", intervention.strategy
    return ("style", intervention.style) if intervention.style is not None else ("mandate_hash", None)


class ForkParted(AgentroomsError):
    """A fork's prefix does not come out as its parent's."""


def boundary(recorded: list[Recorded], at: int, manifest: Manifest) -> tuple[int, int]:
    """Returns the round that event number `at` belongs to, and how many events stand up to that round's end."""
    if not 1 <= at <= len(recorded):
        raise InvalidInput(f"event {at} is not in an archive of {len(recorded)} events", hint="count from 1")
    at_ms = recorded[at - 1].at_ms
    inside = [n for n, r in enumerate(recorded, start=1) if r.at_ms <= at_ms and r.cmd != COMPLETE]
    if any(r.type == "room.closed" for r in recorded[: inside[-1]]):
        raise InvalidInput(
            f"the room closes in the round of event {at}, so nothing can be changed after it",
            hint=f"fork at event {_last_open(recorded)} or before",
        )
    settings = manifest.settings
    return (at_ms - settings.started_at_ms) // settings.round_ms, inside[-1]


def _last_open(recorded: list[Recorded]) -> int:
    """Returns the last event of the last round after which the room goes on."""
    closing = next(r.at_ms for r in recorded if r.type == "room.closed")
    return sum(1 for r in recorded if r.at_ms < closing)


def _intervention(change: str, round_: int, agents: set[str]) -> Intervention:
    path, equals, value = change.partition("=")
    parts = path.split(".")
    if not equals or len(parts) != 3 or parts[0] != "agent":
        raise InvalidInput(f"{change!r} is not a change", hint="write agent.ID.strategy=patient")
    agent = _agent(parts[1], agents)
    match parts[2]:
        case "strategy":
            return Intervention(round=round_, agent=agent, strategy=_word("strategy", StrategyName, value))
        case "style":
            return Intervention(round=round_, agent=agent, style=_word("style", Style, value))
        case "limit":
            return Intervention(round=round_, agent=agent, limit_usdc_micros=parse_usdc(value))
        case "removed" if value == "true":
            return Intervention(round=round_, agent=agent, removed=True)
    raise InvalidInput(f"{change!r} is not a change", hint="strategy=, style=, limit= or removed=true")


def _agent(name: str, agents: set[str]) -> str:
    """Returns the one agent that the name, or the beginning of its id, means."""
    found = sorted(a for a in agents if a == name or a.startswith((name, f"agent_{name}")))
    if len(found) != 1:
        many = "no agent" if not found else f"{len(found)} agents"
        raise InvalidInput(f"{name!r} means {many} of this run at that event", hint="`agentrooms replay` lists ids")
    return found[0]


def _word(noun: str, kind: type[Word], value: str) -> Word:
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidInput(f"{value!r} is not a {noun}", hint=f"one of {', '.join(kind)}") from error
