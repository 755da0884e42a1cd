"""A chain is used only when it is the one that was configured."""

from __future__ import annotations

from typing import Any

import pytest

from agentrooms.chain.devnet.engine import RELAYER_KEY
from agentrooms.chain.evm.chain import ChainMismatch, EvmChain, Pace
from agentrooms.chain.evm.courier import NotFunded
from agentrooms.chain.port import ChainError
from agentrooms.events.vault import MemoryVault
from tests.domain.samples import wallet_key
from tests.evm.market import Market, replace


def chain(
    market: Market, *, relayer: bytes = RELAYER_KEY, answers: dict[str, Any] | None = None, **changes: Any
) -> EvmChain:
    """The market's chain as another would open it; the node gives these answers instead of its own."""
    rpc, site = market.evm.rpc, market.chain.site
    gas = changes.pop("execute_gas", 1_000_000)
    if answers is not None:
        given = answers
        original = type(rpc).call

        class Lying(type(rpc)):  # type: ignore[misc]
            def call(self, method: str, *params: Any) -> Any:
                found = original(self, method, *params)
                change = given.get(method, found)
                return {**found, **change} if isinstance(change, dict) else change

        rpc = Lying(rpc.url, transport=rpc._client._transport)
    return EvmChain(rpc, replace(site, **changes), relayer, MemoryVault(), pace=Pace(), execute_gas=gas)


def test_the_right_chain_is_taken(fresh_market: Market) -> None:
    chain(fresh_market).probe()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chain_id": 11_811}, "the node is chain"),
        ({"escrow": "0x" + "1" * 40}, r"is not our escrow \(0 bytes of code\)"),
        ({"answers": {"eth_getBlockByNumber": {"timestamp": hex(1_767_225_600)}}}, "1 ms a tick, the chain 1000"),
        (
            {"answers": {"eth_getBlockByNumber": {"gasLimit": hex(900_000)}}},
            "1000000 gas, a transaction .* at most 900000",
        ),
        ({"execute_gas": 2_000_001}, "2000001 gas, a transaction .* at most 2000000"),
    ],
)
def test_any_other_is_refused(fresh_market: Market, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ChainMismatch, match=says):
        chain(fresh_market, **changes).probe()


def test_another_contract_in_the_escrow_s_place_is_refused(fresh_market: Market) -> None:
    with pytest.raises(ChainMismatch, match="is not our escrow"):
        chain(fresh_market, escrow=fresh_market.chain.site.currency).probe()


def test_an_unfunded_account_is_told_at_once(fresh_market: Market) -> None:
    with pytest.raises(NotFunded, match="has 0 wei, one deal may cost"):
        chain(fresh_market, relayer=wallet_key("poor")).probe()


def test_a_price_out_of_bounds_is_refused_at_once(fresh_market: Market) -> None:
    with pytest.raises(ChainError, match="is the most we pay"):
        chain(fresh_market, answers={"eth_gasPrice": hex(10**13 + 1)}).probe()
