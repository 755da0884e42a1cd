"""What a devnet is given is given once: whoever is killed between two transactions goes on where it was."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from agentrooms.chain.devnet.engine import GWEI, START_MS, Genesis
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI
from agentrooms.chain.evm.wallet import approval
from agentrooms.chain.ledger import Provided
from agentrooms.chain.port import ChainError
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted, WalletFueled
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.live.persons import FUEL_GWEI
from tests.domain.samples import wallet, wallet_key
from tests.evm.market import FUNDS, Market, in_process
from tests.evm.nodes import Killed, Mortal


class Lives:
    """One chain and one memory, on which chains are opened that die at a given step."""

    def __init__(self) -> None:
        self.memory = MemoryVault()
        self.node = CommandNode(PyEvm(None, Genesis(start_ms=START_MS)))

    def lose_pool(self) -> None:
        """Ends the process of the chain: what was sent and not mined is gone."""
        assert isinstance(self.node.engine, PyEvm)
        pool = self.node.engine._pool
        for waiting in pool.all():
            pool.remove(waiting)

    def chain(self, memory: Vault, sends: int = 0) -> DevnetChain:
        """A chain that dies before its n-th transaction is sent, if `sends`."""
        rpc = in_process(self.node)
        call, left = rpc.call, sends

        def mortal(method: str, *params: Any) -> Any:
            nonlocal left
            if method == "eth_sendRawTransaction":
                left -= 1
                if left == 0:
                    raise Killed
            return call(method, *params)

        rpc.call = mortal  # type: ignore[method-assign]
        return DevnetChain(rpc, memory, virtual=True)


@pytest.mark.parametrize("step", range(1, 10))
@pytest.mark.parametrize("how", ["before_send", "after_write"])
def test_killed_at_any_step_the_next_life_gives_what_is_missing(how: str, step: int) -> None:
    """Nine writes and eight transactions make a market with one deal; the pool is lost with the process."""
    lives = Lives()
    memory = lives.memory if how == "before_send" else Mortal(lives.memory, step, after=True)
    with suppress(Killed):
        Market(lives.chain(memory, step if how == "before_send" else 0), memory, virtual=True).deal()
        assert (how, step) == ("before_send", 9)  # any other step is one
    lives.lose_pool()
    market = Market(lives.chain(lives.memory), lives.memory, virtual=True)
    deal = market.deal()
    assert market.evm.balance_usdc_micros(wallet(deal.buyer)) == FUNDS
    assert market.evm.owner(deal.terms.item.token_id) == wallet(deal.seller)
    assert market.settle(deal).succeeded
    assert market.settle(market.deal()).succeeded


def test_what_another_left_unsent_does_not_block_who_comes_after() -> None:
    """The deployer's nonces have no gap: what was made and not sent is sent first."""
    lives = Lives()
    market = Market(lives.chain(lives.memory), lives.memory, virtual=True)
    with pytest.raises(Killed):
        lives.chain(lives.memory, sends=2).provide(market.provision(7, "b7", "s7"))
    lives.lose_pool()
    market = Market(lives.chain(lives.memory), lives.memory, virtual=True)
    assert market.settle(market.deal()).succeeded


def test_a_persons_wallet_pays_for_its_own_approval(fresh_market: Market) -> None:
    """It is given money, an item and coin, and allows the escrow nothing until it says so itself, once each key."""
    evm, deal = fresh_market.evm, fresh_market.deal(provided=False)
    item, seller = deal.terms.item, wallet(deal.seller)
    given = Provided(
        "person",
        funds=(LedgerFunded(0, FUNDS, wallet(deal.buyer)),),
        mints=(LedgerMinted(False, evm.site.collection, seller, item.token_id, item.traits),),
        fuels=(WalletFueled(FUEL_GWEI, seller),),
    )
    for _time in range(2):
        evm.provide(given)
    assert evm.rpc.number("eth_getBalance", seller, "latest") == FUEL_GWEI * GWEI
    facts = evm.facts(deal.case, fresh_market.now_ms())
    assert (facts.owner, facts.approved) == (seller, False)
    assert (facts.balance_usdc_micros, facts.allowance_usdc_micros) == (FUNDS, 0)
    own = approval(wallet_key(deal.seller), evm.site, item.token_id, nonce=0, gas_price_wei=PRICE_MIN_WEI)
    evm.rpc.call("eth_sendRawTransaction", "0x" + own.raw.hex())
    evm.mine()
    assert evm.facts(deal.case, fresh_market.now_ms()).approved


def test_a_contract_that_takes_no_coin_holds_up_nobody(fresh_market: Market) -> None:
    evm = fresh_market.evm
    evm.provide(Provided("odd", fuels=(WalletFueled(FUEL_GWEI, evm.site.currency),)))
    assert evm.rpc.number("eth_getBalance", evm.site.currency, "latest") == 0
    assert fresh_market.settle(fresh_market.deal()).succeeded


def test_a_devnet_whose_file_was_lost_is_named() -> None:
    lives = Lives()
    Market(lives.chain(lives.memory), lives.memory, virtual=True)
    lives.node = CommandNode(PyEvm(None, Genesis(start_ms=START_MS)))
    with pytest.raises(ChainError, match="its file was lost"):
        Market(lives.chain(lives.memory), lives.memory, virtual=True)
