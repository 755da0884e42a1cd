"""The Chain port means the same on every chain: ledger, devnet in virtual time and live, and anvil."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from agentrooms.chain.ledger import LedgerChain
from agentrooms.chain.port import ChainError
from agentrooms.consensus.judgement import Facts, judge
from agentrooms.domain.eip712 import ZERO_ADDRESS
from agentrooms.domain.ledger import LedgerMinted
from agentrooms.errors import InvalidInput
from tests.domain import samples
from tests.domain.samples import USDC, wallet
from tests.evm.market import FUNDS, Market

replace = msgspec.structs.replace
PRICE = 80 * USDC


def shown(facts: Facts) -> Facts:
    """The facts without block and time, which differ from chain to chain."""
    return replace(facts, block=0, at_ms=0)


def ready(market: Market, seller: str, traits: dict[str, str]) -> Facts:
    """What is seen of a deal whose parties are ready."""
    version = market.verifiers.version
    return Facts(wallet(seller), traits, True, FUNDS, FUNDS, False, False, False, 0, 0, set_version=version)


def test_facts_are_what_the_chain_holds(any_market: Market) -> None:
    """Before the deal and after it: owner, approval, money, allowance, use, fills."""
    deal = any_market.deal()
    before = any_market.chain.facts(deal.case, any_market.now_ms())
    assert shown(before) == ready(any_market, deal.seller, deal.terms.item.traits)
    assert judge(deal.case, before) == ()
    receipt = any_market.settle(deal)
    assert receipt.succeeded
    after = any_market.chain.facts(deal.case, any_market.now_ms())
    assert shown(after) == replace(
        ready(any_market, deal.buyer, deal.terms.item.traits),
        approved=False,
        balance_usdc_micros=FUNDS - PRICE,
        allowance_usdc_micros=FUNDS - PRICE,
        deal_used=True,
        buyer_mandate_spent=True,
        seller_mandate_spent=True,
    )
    assert after.block >= receipt.block > before.block
    assert after.at_ms >= receipt.at_ms >= before.at_ms


def test_of_an_item_and_of_parties_nobody_knows_nothing_is_there(any_market: Market) -> None:
    deal = any_market.deal(provided=False)
    facts = any_market.chain.facts(deal.case, any_market.now_ms())
    assert (facts.owner, facts.approved) == (ZERO_ADDRESS, False)
    assert (facts.balance_usdc_micros, facts.allowance_usdc_micros) == (0, 0)
    assert facts.traits != deal.terms.item.traits
    assert (facts.deal_used, facts.buyer_mandate_spent, facts.seller_mandate_spent) == (False, False, False)


def test_mandates_that_nobody_has_are_no_obstacle_to_looking(any_market: Market) -> None:
    deal = any_market.deal()
    facts = any_market.chain.facts(replace(deal.case, buyer=None, seller=None), any_market.now_ms())
    assert shown(facts) == ready(any_market, deal.seller, deal.terms.item.traits)


def test_traits_that_differ_are_seen(any_market: Market) -> None:
    deal = any_market.deal(traits={"grade": "rare"})
    facts = any_market.chain.facts(deal.case, any_market.now_ms())
    assert judge(deal.case, facts) == ("item_traits_differ",)


def test_prepared_twice_is_the_same_transaction_and_sent_twice_is_sent_once(any_market: Market) -> None:
    market, deal = any_market, any_market.deal()
    execution = market.execution(deal)
    first = market.chain.prepare(execution)
    assert market.chain.prepare(execution) == first
    assert market.chain.sent(first.tx_hash).receipt is None
    market.chain.send(first.raw, market.now_ms())
    once, held = market.chain.sent(first.tx_hash), market.holdings()
    assert once.receipt is not None
    assert (once.receipt.tx_hash, once.receipt.succeeded, once.stuck) == (first.tx_hash, True, False)
    market.chain.send(first.raw, market.now_ms())
    assert market.chain.sent(first.tx_hash).receipt == once.receipt
    assert market.holdings() == held
    assert market.chain.prepare(execution) == first


def test_standing_tells_time_and_execution(any_market: Market) -> None:
    market, deal = any_market, any_market.deal()
    before = market.chain.standing(deal.terms, market.now_ms())
    assert before.executed is None
    receipt = market.settle(deal)
    after = market.chain.standing(deal.terms, market.now_ms())
    assert after.executed == receipt
    assert after.at_ms >= receipt.at_ms >= before.at_ms


def test_an_execution_by_a_stranger_is_found(any_market: Market) -> None:
    """Our own transaction then fails, keeps everything, and the deal is executed all the same."""
    market, deal = any_market, any_market.deal()
    receipt = market.settle_as_stranger(deal)
    assert market.chain.standing(deal.terms, market.now_ms()).executed == receipt
    held = market.holdings()
    ours = market.settle(deal)
    assert (ours.succeeded, ours.tx_hash == receipt.tx_hash) == (False, False)
    assert ours.reason == "deal_already_used"
    assert market.holdings() == held
    assert market.chain.standing(deal.terms, market.now_ms()).executed == receipt


def test_a_deadline_passes_on_an_idle_chain(any_market: Market) -> None:
    """Nobody sends anything; the final time is past the deadline all the same, and the deal is refused from then on."""
    market = any_market
    deal = market.deal(deadline_ms=market.now_ms())
    standing = market.chain.standing(deal.terms, market.now_ms())
    if not market.virtual:  # the same millisecond may still run
        while standing.at_ms <= deal.terms.deadline_ms:
            standing = market.chain.standing(deal.terms, market.now_ms())
    assert (standing.executed, standing.at_ms > deal.terms.deadline_ms) == (None, True)
    held = market.holdings()
    late = market.settle(deal)
    assert (late.succeeded, late.reason) == (False, "deadline_passed")
    assert market.holdings() == held


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price_usdc_micros": 101 * USDC}, "buyer_mandate_invalid:price_above_limit"),
        ({"price_usdc_micros": 59 * USDC}, "seller_mandate_invalid:price_below_limit"),
    ],
)
def test_a_refused_execution_moves_nothing_and_says_why(
    any_market: Market, changes: dict[str, Any], reason: str
) -> None:
    market = any_market
    deal = market.deal(**changes)
    held = market.holdings()
    receipt = market.settle(deal)
    assert (receipt.succeeded, receipt.reason) == (False, reason)
    assert market.holdings() == held
    assert market.chain.standing(deal.terms, market.now_ms()).executed is None


def test_too_few_attestations_are_refused(any_market: Market) -> None:
    market, deal = any_market, any_market.deal()
    receipt = market.settle(deal, approvals=4)
    expected = "certificate_invalid" if isinstance(market.chain, LedgerChain) else "attestations_too_few"
    assert (receipt.succeeded, receipt.reason) == (False, expected)


def test_a_new_set_voids_the_old_attestations(any_market: Market) -> None:
    market, deal = any_market, any_market.deal()
    old = market.execution(deal)
    market.rotate()
    facts = market.chain.facts(deal.case, market.now_ms())
    assert facts.set_version == market.verifiers.version == deal.terms.set_version + 1
    assert judge(deal.case, facts) == ("other_set_version",)
    transaction = market.chain.prepare(old)
    market.chain.send(transaction.raw, market.now_ms())
    receipt = market.chain.sent(transaction.tx_hash).receipt
    assert receipt is not None
    assert not receipt.succeeded
    assert market.settle(market.deal()).succeeded


def test_what_is_provided_twice_is_there_once(any_market: Market) -> None:
    market, deal = any_market, any_market.deal()
    held = market.holdings()
    number = int(deal.terms.item.token_id)
    market.chain.provide(market.provision(number, deal.buyer, deal.seller))
    assert market.holdings() == held


def test_an_item_that_exists_is_not_minted_again(any_market: Market) -> None:
    market, deal = any_market, any_market.deal()
    held = market.holdings()
    again = LedgerMinted(
        approved=False,
        collection=market.chain.site.collection,
        owner=wallet("thief"),
        token_id=deal.terms.item.token_id,
        traits={},
    )
    with pytest.raises(ChainError):
        market.chain.provide(
            replace(market.provision(0, deal.buyer, deal.seller), key="again", funds=(), mints=(again,))
        )
    assert market.holdings() == held


def test_a_hash_that_is_not_ours_is_nothing_we_can_reprice(any_market: Market) -> None:
    with pytest.raises(ChainError):
        any_market.chain.reprice("0x" + "1" * 64)


def test_money_and_items_are_conserved_over_many_deals(any_market: Market) -> None:
    """Good ones, refused ones and repeated ones."""
    market = any_market
    deals = [market.deal(price_usdc_micros=price * USDC) for price in (59, 60, 80, 100, 101)]
    money, _ = market.holdings()
    outcomes = [market.settle(deal).succeeded for deal in deals]
    assert outcomes == [False, True, True, True, False]
    after, owners = market.holdings()
    assert after == money
    for deal, done in zip(deals, outcomes, strict=True):
        assert owners[deal.terms.item.token_id] == wallet(deal.buyer if done else deal.seller)


# --- What only contracts can do -----------------------------------------------------------------------------


def test_a_cancelled_mandate_is_seen_and_refused(evm_market: Market) -> None:
    """One by itself, all by the counter."""
    market = evm_market
    deal = market.deal()
    market.cancel(deal, deal.seller)
    facts = market.chain.facts(deal.case, market.now_ms())
    assert (facts.seller_cancelled, facts.buyer_cancelled) == (True, False)
    assert judge(deal.case, facts) == ("seller_mandate_invalid:cancelled",)
    assert market.settle(deal).reason == "seller_mandate_invalid:cancelled"
    other = market.deal()
    market.tell_escrow(market.account(other.buyer), "cancelAll")
    facts = market.chain.facts(other.case, market.now_ms())
    assert (facts.seller_cancelled, facts.buyer_cancelled) == (False, True)
    assert market.settle(other).reason.startswith("buyer_mandate_invalid:")


def test_a_paused_escrow_refuses_until_it_goes_on(evm_market: Market) -> None:
    market, deal = evm_market, evm_market.deal()
    market.tell_escrow(DEPLOYER_KEY, "pause")
    facts = market.chain.facts(deal.case, market.now_ms())
    refused = market.settle(deal)
    market.tell_escrow(DEPLOYER_KEY, "unpause")
    assert (facts.paused, judge(deal.case, facts)) == (True, ("paused",))
    assert (refused.succeeded, refused.reason) == (False, "paused")
    assert judge(deal.case, market.chain.facts(deal.case, market.now_ms())) == ()
    assert market.settle_as_stranger(deal).succeeded


def test_terms_that_no_escrow_could_know_are_bad_input(evm_market: Market) -> None:
    """Whoever asks a verifier may send anything."""
    deal = evm_market.deal(provided=False)
    for changes in (
        {"price_usdc_micros": -1},
        {"price_usdc_micros": 2**256},
        {"seller_mandate": "zz"},
        {"currency": "0"},
    ):
        case = replace(deal.case, terms=replace(deal.terms, **changes))
        with pytest.raises(InvalidInput):
            evm_market.chain.facts(case, evm_market.now_ms())
    traits = {f"trait {n}": "x" for n in range(40)}
    item = replace(samples.item(1), traits=traits)
    facts = evm_market.chain.facts(replace(deal.case, terms=replace(deal.terms, item=item)), evm_market.now_ms())
    assert facts.traits != traits
    long = replace(deal.case, buyer=replace(samples.BUYER, signature="ab" * 4_000))
    assert not evm_market.chain.facts(long, evm_market.now_ms()).buyer_contract_signed
