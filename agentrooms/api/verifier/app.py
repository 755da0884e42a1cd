"""The verifier service over HTTP. `/health` is public; all else is for known callers, read strictly and within bounds.

A body holds two mandates, which are secret: no log and no error repeats any of it.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from agentrooms.actors.verifier_wire import REQUEST_BYTES_MAX, RUN_CONSENSUS, RunConsensus
from agentrooms.api.bodies import read_body
from agentrooms.api.logs import place_of
from agentrooms.api.problems import Problem, answer
from agentrooms.api.verifier.gate import Gate
from agentrooms.api.verifier.service import ExecuteEscrow, VerifierService, VerifyOwnership, VerifySignature
from agentrooms.chain.port import ChainError, ChainUnreachable
from agentrooms.events.store import StoreError

BODY_S = 5.0  # for a whole body
CONNECTIONS_MAX = 100
KEEPALIVE_S = 30
STOP_S = 2  # for requests in flight when it is told to stop
T = TypeVar("T", bound=msgspec.Struct)

log = logging.getLogger(__name__)


def verifier_app(service: VerifierService, gate: Gate) -> FastAPI:
    """Returns the application."""
    app = FastAPI(title="Agentrooms verifier", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_api_route("/health", _health(service), methods=["GET"])
    _post(app, gate, RUN_CONSENSUS, RunConsensus, service.run_consensus)
    _post(app, gate, "/verify-signature", VerifySignature, service.verify_signature)
    _post(app, gate, "/verify-ownership", VerifyOwnership, service.verify_ownership)
    _post(app, gate, "/execute-escrow", ExecuteEscrow, service.execute_escrow)
    return app


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serves on a socket that listens until the process is told to stop."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEPALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _post(app: FastAPI, gate: Gate, path: str, kind: type[T], work: Callable[[T], msgspec.Struct]) -> None:
    """Adds one endpoint for callers."""
    decoder = msgspec.json.Decoder(kind)

    async def asked(request: Request) -> Response:
        body = await read_body(request, bytes_max=REQUEST_BYTES_MAX, timeout_s=BODY_S)
        gate.admit(request.headers.get("authorization", ""), path, body)
        try:
            question = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(422, f"the body is no {kind.__name__}: {_place(error)}") from error
        return _json(await run_in_threadpool(work, question))

    app.add_api_route(path, _answering(asked), methods=["POST"], response_model=None)


def _health(service: VerifierService) -> Callable[[Request], Any]:
    async def health(_request: Request) -> Response:
        return _json(await run_in_threadpool(service.health))

    return _answering(health)


def _answering(work: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """Returns an endpoint that answers whatever happens, and tells nobody what a body held."""

    async def endpoint(request: Request) -> Response:
        try:
            response: Response = await work(request)
        except Problem as problem:
            response = answer(problem)
        except ChainUnreachable:
            response = answer(Problem(503, "the chain does not answer; ask again"))
        except ChainError:
            response = answer(Problem(502, "the chain answered what cannot be used"))
        except StoreError as error:
            log.error("%s", error)  # noqa: TRY400 - names the file, which is the operator's; a traceback adds nothing
            response = answer(Problem(503, "this verifier's memory cannot be used"))
        except Exception as error:  # noqa: BLE001 - its text may hold what a mandate says
            log.error("a request to %s failed: %s in %s", request.url.path, type(error).__name__, place_of(error))  # noqa: TRY400
            response = answer(Problem(500, "a fault of this service"))
        return response

    return endpoint


async def _no_route(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return answer(Problem(status, "there is no such endpoint" if status == 404 else "not possible here"))


def _place(error: Exception) -> str:
    """Returns where in a body its fault is, without what stands there."""
    where = str(error).rpartition(" - at `")[2].rstrip("`")
    return f"wrong at {where}" if where.startswith("$") else "not JSON, or a field is missing or unknown"


def _json(given: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(given), media_type="application/json")
