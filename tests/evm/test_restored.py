"""A devnet that is ahead of its memory, as after a restore: what it was given already is found there, not missed."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy

import pytest

from agentrooms.chain.port import ChainError
from tests.domain.samples import wallet
from tests.evm.market import FUNDS, Market
from tests.evm.nodes import Killed, Mortal
from tests.evm.test_provide import Lives

WRITES = 9  # that make a market with one deal


@pytest.mark.parametrize("sold", [False, True])
@pytest.mark.parametrize("step", range(1, WRITES + 1))
def test_a_memory_of_any_earlier_moment_goes_on(step: int, sold: bool) -> None:
    lives = Lives()
    with suppress(Killed):
        mortal = Mortal(lives.memory, step, after=True)
        Market(lives.chain(mortal), mortal, virtual=True).deal()
    old = deepcopy(lives.memory)
    ahead = Market(lives.chain(lives.memory), lives.memory, virtual=True)
    first = ahead.deal()
    if sold:
        assert ahead.settle(first).succeeded
    market = Market(lives.chain(old), old, virtual=True)
    deal = market.deal()
    token = deal.terms.item.token_id
    if sold:
        assert market.evm.owner(token) == wallet(deal.buyer)
    else:
        assert market.evm.owner(token) == wallet(deal.seller)
        assert market.evm.balance_usdc_micros(wallet(deal.buyer)) >= FUNDS
        assert market.settle(deal).succeeded
    assert market.settle(market.deal()).succeeded


def test_a_set_that_was_registered_is_not_registered_again() -> None:
    lives = Lives()
    market = Market(lives.chain(lives.memory), lives.memory, virtual=True)
    old = deepcopy(lives.memory)
    market.rotate()
    restored = lives.chain(old)
    restored.register(market.verifiers)
    restored.register(market.verifiers)
    with pytest.raises(ChainError, match="set version"):
        restored.register(market.set_of(4))
