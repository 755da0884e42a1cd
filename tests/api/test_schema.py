"""Answers are as the OpenAPI document says, whatever is asked; `python -m tests.api.schema_campaign` asks for longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.api import openapi
from tests.api.fuzzing import DOCUMENT, KINDS, MODES, NOTHING_TO_SAY, fuzz
from tests.api.market import Market, market_in

EXAMPLES = 3  # of each kind for each operation
SEED = 5


@pytest.fixture(scope="module")
def market(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market_in(postgres_dsn, redis_url, tmp_path_factory.mktemp("schema")) as made:
        assert made.run
        yield made


@pytest.mark.parametrize(("operation", "mode"), KINDS)
def test_answers_are_as_described(market: Market, operation: str, mode: str) -> None:
    fuzz(market, operation, MODES[mode], EXAMPLES, SEED)


def test_every_operation_is_asked() -> None:
    described = {one["operationId"] for _path, _method, one in openapi.operations(DOCUMENT)}
    assert {operation for operation, mode in KINDS if mode == "good"} == described
    assert described - {operation for operation, mode in KINDS if mode == "bad"} == NOTHING_TO_SAY
    assert len(NOTHING_TO_SAY) == 4
