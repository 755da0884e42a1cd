"""A principal that is a contract (ERC-1271) signs by saying so on chain; verifiers and escrow believe the chain."""

from __future__ import annotations

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from agentrooms.chain.evm.abi import call_data, constructor_data
from agentrooms.chain.evm.outbox import Outbox
from agentrooms.consensus.judgement import judge
from agentrooms.domain.mandate import SignedMandate, mandate_digest, mandate_hash
from tests.contracts.stage import compiled
from tests.evm.market import FUNDS, Deal, Market, replace

HONEST = 0
WALLET, USDC_ABI = compiled("HostileWallet"), load("TestUsdc").abi


def deploy(market: Market) -> str:
    """Deploys an honest wallet that is a contract."""
    evm = market.evm
    outbox = Outbox(evm.rpc, evm.site.chain_id, DEPLOYER_KEY, market.memory)
    data = bytes.fromhex(WALLET.initcode) + constructor_data(WALLET.abi, HONEST)
    made = outbox.make(f"wallet/{market.now_ms()}", None, data, 4_000_000)
    evm.rpc.call("eth_sendRawTransaction", "0x" + made.raw.hex())
    evm.mine()
    return str(evm.rpc.call("eth_getTransactionReceipt", made.tx_hash)["contractAddress"])


def bought_by(market: Market, address: str) -> Deal:
    """A deal whose buyer is the contract; its mandate's signature is what the wallet makes of it."""
    deal = market.deal()
    assert deal.case.buyer is not None
    assert deal.case.seller is not None
    mandate = replace(deal.case.buyer.mandate, principal=address)
    terms = replace(deal.terms, buyer_mandate=mandate_hash(mandate), buyer_wallet=address)
    return market.about(terms, deal.buyer, deal.seller, SignedMandate(mandate, "c0de"), deal.case.seller)


def test_a_contract_buys_once_it_says_that_it_signed(evm_market: Market) -> None:
    market, site = evm_market, evm_market.chain.site
    address = deploy(market)
    deal, other = bought_by(market, address), bought_by(market, address)
    market.act(DEPLOYER_KEY, site.currency, call_data(USDC_ABI, "mint", address, FUNDS))
    approve = call_data(USDC_ABI, "approve", site.escrow, FUNDS)
    market.act(DEPLOYER_KEY, address, call_data(WALLET.abi, "act", site.currency, approve))
    before = market.chain.facts(deal.case, market.now_ms())
    assert not before.buyer_contract_signed
    assert judge(deal.case, before) == ("buyer_mandate_invalid:signature",)
    assert deal.case.buyer is not None
    digest = mandate_digest(deal.case.buyer.mandate, site.domain)
    market.act(DEPLOYER_KEY, address, call_data(WALLET.abi, "accept", digest, True))
    facts = market.chain.facts(deal.case, market.now_ms())
    assert (facts.buyer_contract_signed, facts.seller_contract_signed) == (True, False)
    assert judge(deal.case, facts) == ()
    assert market.settle(deal).succeeded
    assert market.evm.owner(deal.terms.item.token_id) == address
    assert market.settle(other).reason == "buyer_mandate_invalid:signature"
