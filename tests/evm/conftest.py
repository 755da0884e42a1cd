"""Markets that tests share: each test brings parties and items of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evm.market import EVM_KINDS, KINDS, Market, market


@pytest.fixture(scope="module", params=KINDS)
def any_market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A market on each kind of chain."""
    with market(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture(scope="module", params=EVM_KINDS)
def evm_market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A market on each kind of chain that has an EVM."""
    with market(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def fresh_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A market on a new EVM in this process."""
    with market("pyevm", tmp_path_factory.mktemp("fresh")) as made:
        yield made
