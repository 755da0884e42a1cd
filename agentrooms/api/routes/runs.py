"""Runs: reproducible simulations, made in the background, and forks of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as File
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from agentrooms.api.auth.principal import SignedIn
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.limits import HOUR_S
from agentrooms.api.models.base import PAGE, problems
from agentrooms.api.models.runs import RUN_ID_PATTERN, ForkAsked, RunAnswer, RunsPage, StartRunAsked, run_body
from agentrooms.api.problems import Problem
from agentrooms.api.reading import Cursor, Limit, number_key
from agentrooms.api.routes.common import NDJSON, CommandId, page_of
from agentrooms.api.strict import StrictRoute
from agentrooms.chain.spec import ChainMode
from agentrooms.domain.ids import derive_id
from agentrooms.errors import InvalidInput
from agentrooms.jobs.queue import NoSuchJob, QueueFull
from agentrooms.jobs.run_process import Fork
from agentrooms.jobs.runs import RunState, fork_run, run_folder, run_state, run_states, start_run
from agentrooms.sim import settings
from agentrooms.sim.archive import EVENTS
from agentrooms.sim.settings import RunSettings

router = APIRouter(prefix="/runs", route_class=StrictRoute, tags=["runs"])

CHUNK_BYTES = 65_536
LOG: dict[str, Any] = {
    "description": "The log's lines, byte by byte",
    "content": {
        NDJSON: {"schema": {"type": "string"}, "example": '{"at_ms":0,"chain":"room_x","cmd":"open:room_x", …}\n'}
    },
}
RunId = Annotated[str, Path(pattern=RUN_ID_PATTERN, description="A run's id")]


@router.get("", operation_id="listRuns", summary="List runs")
def list_runs(
    home: HomeDep,
    principal: SignedIn,
    mine: Annotated[bool, Query(description="Only those one had made")] = False,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> RunsPage:
    """Runs, the newest first. Those that ended long ago make room for others, and so do their archives."""
    user = principal.user if mine else None
    rows = run_states(home.jobs, user=user, before=number_key(cursor), limit=limit + 1)
    shown, following = page_of(rows, limit, lambda row: row.number)
    return RunsPage(runs=tuple(map(run_body, shown)), next_cursor=following)


@router.post("", operation_id="startRun", summary="Start a run", status_code=201)
def start_a_run(home: HomeDep, principal: SignedIn, command: CommandId, body: StartRunAsked) -> RunAnswer:
    """Have a swarm simulated: reproducible from its seed, on a log and a chain of its own."""
    _limit(home, principal.user)
    id_ = derive_id("run", command)
    try:
        start_run(home.jobs, id_, _settings(body), principal.user)
    except QueueFull as error:
        raise Problem(503, str(error), hint=error.hint) from error
    return _answer(home, id_)


@router.get("/{id}", operation_id="getRun", summary="Get a run", responses=problems(404))
def get_run(home: HomeDep, _principal: SignedIn, id: RunId) -> RunAnswer:
    """One run: how far it is, or what came of it."""
    return _answer(home, id)


@router.get(
    "/{id}/events",
    operation_id="getRunEvents",
    summary="Get a run's log",
    response_class=StreamingResponse,
    responses={200: LOG, **problems(404)},
)
def get_run_events(home: HomeDep, _principal: SignedIn, id: RunId) -> StreamingResponse:
    """The log of a finished run as its archive has it, one event a line."""
    file = run_folder(home.folder.path, id) / EVENTS
    if not file.is_file():
        _state(home, id)
        raise Problem(409, "the run is not finished", hint="GET /runs/{id} says how far it is")
    headers = {"Content-Disposition": f'attachment; filename="{id}.ndjson"', "Cache-Control": "no-store"}
    return StreamingResponse(_chunks(file), media_type=NDJSON, headers=headers)


@router.post("/{id}/fork", operation_id="forkRun", summary="Fork a run", status_code=201, responses=problems(404))
def fork_a_run(home: HomeDep, principal: SignedIn, id: RunId, command: CommandId, body: ForkAsked) -> RunAnswer:
    """Have a finished run made again that equals it up to a round and differs from there on."""
    if not run_folder(home.folder.path, id).is_dir():
        _state(home, id)
        raise Problem(409, "the run is not finished", hint="GET /runs/{id} says how far it is")
    _limit(home, principal.user)
    made = derive_id("run", command)
    try:
        fork_run(home.jobs, made, home.folder.path, Fork(id, body.at, body.changes), principal.user)
    except QueueFull as error:
        raise Problem(503, str(error), hint=error.hint) from error
    return _answer(home, made)


def _settings(body: StartRunAsked) -> RunSettings:
    if body.preset is not None:
        made = settings.preset(body.preset, body.seed)
    else:
        assert body.buyers is not None
        assert body.sellers is not None
        made = settings.custom(body.seed, body.buyers, body.sellers)
    return msgspec.structs.replace(made, chain=ChainMode(body.chain))


def _limit(home: Home, user: str) -> None:
    home.limits.require(f"runs:{user}", home.settings.spawns_per_hour, HOUR_S, "runs")


def _answer(home: Home, id: str) -> RunAnswer:
    return RunAnswer(run=run_body(_state(home, id)))


def _state(home: Home, id: str) -> RunState:
    try:
        return run_state(home.jobs, id)
    except (NoSuchJob, InvalidInput) as error:
        raise Problem(404, f"there is no run {id}", hint="GET /runs lists those there are") from error


def _chunks(file: File) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            yield chunk
