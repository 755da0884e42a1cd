"""Requests drawn from the OpenAPI document, good and bad ones, and what must be so of every answer."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agentrooms.api import openapi
from agentrooms.api.app import rest_app
from tests.api.market import Market
from tests.api.system import ORIGIN, bearer
from tests.domain.samples import wallet

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOT_READY = {"getReadiness"}  # nothing of the test's system says that it is alive, which is a 503
FUZZER = "admin"  # who asks when somebody signed in does: may the most
TIMEOUT_S = 60

load_all_checks()
DOCUMENT = openapi.document(rest_app(None).routes, ORIGIN)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    found.ok().definition.raw["operationId"]: found.ok()
    for found in SCHEMA.get_all_operations()
    if isinstance(found, Ok)
}
MODES = {"good": GenerationMode.POSITIVE, "bad": GenerationMode.NEGATIVE}
NOTHING_TO_SAY = {  # operations of which nothing can be asked wrongly
    one["operationId"]
    for _path, _method, one in openapi.operations(DOCUMENT)
    if not one.keys() & {"parameters", "requestBody", "security"}
}
KINDS = [(name, mode) for name in OPERATIONS for mode in MODES if mode == "good" or name not in NOTHING_TO_SAY]


def fuzz(market: Market, operation_id: str, mode: GenerationMode, examples: int, drawn_from: int) -> int:
    """Asks so many requests of a kind, as nobody and signed in. Raises what is wrong with an answer.

    Returns how many answers were successes.
    """
    operation = OPERATIONS[operation_id]
    there = _ids(market, operation.path) if mode is GenerationMode.POSITIVE else None
    strategy = operation.as_strategy(generation_mode=mode, path_parameters=there)
    successes = 0

    @seed(drawn_from)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # what fails is shown as it was drawn: shrinking asks a thousand times
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case: Case[Any]) -> None:
        nonlocal successes
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
            case.body |= {name: value for name, value in _known(market).items() if case.body.get(name)}
        for headers in ({}, bearer(market.home.sign_in.start(wallet(FUZZER)).access_token)):
            successes += _ask(market, operation_id, case, headers) < 300

    run()
    return successes


def _ask(market: Market, operation_id: str, case: Case[Any], headers: dict[str, str]) -> int:
    response = case.call(base_url=market.url, headers=headers, timeout=TIMEOUT_S)
    status: int = response.status_code
    if operation_id not in NOT_READY:
        assert status < 500, (operation_id, status, response.text, case.as_curl_command())
    assert market.leaks(response.content) == set()
    case.validate_response(response, checks=CHECKS)
    return status


def _known(market: Market) -> dict[str, str]:
    """What fields of a body hold that nobody could guess."""
    return {"roomId": market.room, "nftId": market.item, "walletAddress": market.admin.wallet}


def _ids(market: Market, path: str) -> dict[str, Any] | None:
    """What stands in a path, of things that are there."""
    kinds = {"rooms": market.room, "agents": market.agent, "swarms": market.swarm, "deals": market.deal}
    kinds |= {"nfts": market.item, "runs": market.run, "me": market.webhook}
    return {"id": kinds[path.split("/")[1]]} if "{id}" in path else None
