"""The simulation's chain: all or nothing, once, conserving, and the same hashes for the same transactions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.ledger import NOBODY, LedgerChain
from agentrooms.chain.port import ChainError, Execution, Sent, Standing
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.domain.deal import Receipt
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import SignedMandate
from tests.domain import samples
from tests.domain.samples import (
    BUYER,
    COLLECTION,
    ITEM,
    SELLER,
    SET,
    START_MS,
    TERMS,
    USDC,
    acceptances,
    case_of,
    ledger,
    terms_of,
    wallet,
)

replace = msgspec.structs.replace
KEY = (COLLECTION, ITEM.token_id)


def execution(
    buyer: SignedMandate = BUYER,
    seller: SignedMandate = SELLER,
    *,
    approvals: int = 7,
    signing: tuple[str, str] = ("buyer", "seller"),
    **changes: Any,
) -> Execution:
    terms = terms_of(buyer, seller, **changes)
    case = Case(terms=terms, buyer=buyer, seller=seller, acceptances=acceptances(terms, *signing))
    return Execution(case, samples.votes(approvals, terms=terms))


GOOD = execution()


def send(chain: LedgerChain, what: Execution, at_ms: int = START_MS) -> Receipt:
    transaction = chain.prepare(what)
    chain.send(transaction.raw, at_ms)
    sent = chain.sent(transaction.tx_hash)
    assert sent.receipt is not None
    assert (sent.confirmations, sent.stuck) == (1, False)
    return sent.receipt


def recased(**changes: Any) -> Execution:
    """The good execution with another case."""
    return replace(GOOD, case=replace(GOOD.case, **changes))


def holdings(chain: LedgerChain) -> tuple[Any, ...]:
    return dict(chain.balances), dict(chain.allowances), dict(chain.owners), set(chain.approved), dict(chain.used)


def test_a_deal_moves_item_and_money_in_one_step() -> None:
    """Everything before, everything after."""
    chain = ledger()
    receipt = send(chain, GOOD)
    assert receipt.succeeded
    assert holdings(chain) == (
        {wallet("buyer"): 920 * USDC, wallet("seller"): 80 * USDC},
        {wallet("buyer"): 920 * USDC},
        {KEY: wallet("buyer")},
        set(),
        {TERMS.deal: receipt.tx_hash},
    )


def prepared(**changes: Any) -> LedgerChain:
    """A ledger on which one thing is different."""
    chain = ledger()
    for name, value in changes.items():
        setattr(chain, name, value)
    return chain


REFUSALS: list[tuple[str, LedgerChain, Execution, int]] = [
    ("other_chain", ledger(), execution(chain_id=1), START_MS),
    ("other_chain", ledger(), execution(escrow="0x" + "1" * 40), START_MS),
    ("seller_does_not_own_item", prepared(owners={KEY: wallet("thief")}), GOOD, START_MS),
    ("seller_does_not_own_item", prepared(owners={}), GOOD, START_MS),
    ("item_not_approved", prepared(approved=set()), GOOD, START_MS),
    ("allowance_too_low", prepared(allowances={wallet("buyer"): 80 * USDC - 1}), GOOD, START_MS),
    ("allowance_too_low", prepared(allowances={}), GOOD, START_MS),
    ("item_traits_differ", prepared(traits={KEY: {"grade": "rare"}}), GOOD, START_MS),
    ("deadline_passed", ledger(), GOOD, TERMS.deadline_ms + 1),
    ("deal_already_used", prepared(used={TERMS.deal: "0x"}), GOOD, START_MS),
    ("buyer_mandate_spent", prepared(used_mandates={TERMS.buyer_mandate}), GOOD, START_MS),
    ("seller_mandate_spent", prepared(used_mandates={TERMS.seller_mandate}), GOOD, START_MS),
    ("buyer_mandate_invalid:price_above_limit", ledger(), execution(price=101 * USDC), START_MS),
    ("seller_mandate_invalid:price_below_limit", ledger(), execution(price=59 * USDC), START_MS),
    ("buyer_mandate_invalid:signature", ledger(), recased(buyer=replace(BUYER, signature="")), START_MS),
    ("seller_mandate_invalid:other", ledger(), recased(seller=BUYER), START_MS),
    ("buyer_acceptance_invalid", ledger(), recased(acceptances=acceptances()[1:]), START_MS),
    ("seller_acceptance_invalid", ledger(), execution(signing=("buyer", "buyer")), START_MS),
    ("certificate_invalid", ledger(), execution(approvals=4), START_MS),
    ("certificate_invalid", ledger(), execution(approvals=0), START_MS),
    ("certificate_invalid", ledger(), replace(GOOD, votes=samples.votes(2, 5)), START_MS),
    ("certificate_invalid", ledger(), replace(GOOD, votes=samples.votes(7)[::-1]), START_MS),
    ("other_set_version", ledger(), execution(set_version=2), START_MS),
    ("self_trade", ledger(), execution(samples.buyer_mandate("seller"), signing=("seller", "seller")), START_MS),
]


@pytest.mark.parametrize(
    ("reason", "chain", "what", "at_ms"), REFUSALS, ids=[f"{i}-{r[0]}" for i, r in enumerate(REFUSALS)]
)
def test_a_refused_deal_changes_nothing_but_the_block(
    reason: str, chain: LedgerChain, what: Execution, at_ms: int
) -> None:
    """Each rule of the escrow refuses by name, and nothing has moved."""
    if reason == "self_trade":  # else the empty wallet is named first
        chain.fund(LedgerFunded(1_000 * USDC, 1_000 * USDC, wallet("seller")))
    before, block = holdings(chain), chain.block
    receipt = send(chain, what, at_ms)
    assert (receipt.reason, receipt.succeeded, receipt.block) == (reason, False, block + 1)
    assert holdings(chain) == before


def test_an_empty_wallet_is_refused() -> None:
    """The allowance alone is no money."""
    chain = LedgerChain()
    chain.fund(LedgerFunded(allowance_usdc_micros=1_000 * USDC, balance_usdc_micros=0, wallet=wallet("buyer")))
    chain.mint(
        LedgerMinted(
            approved=True, collection=COLLECTION, owner=wallet("seller"), token_id=ITEM.token_id, traits=ITEM.traits
        )
    )
    chain.register(SET)
    assert send(chain, GOOD).reason == "balance_too_low"


def test_sending_twice_is_sending_once() -> None:
    """The receipt is the first one's; no block is mined for the second."""
    chain = ledger()
    first = send(chain, GOOD)
    after = (holdings(chain), chain.block, chain.block_hash)
    assert send(chain, GOOD, TERMS.deadline_ms + 5) == first
    assert (holdings(chain), chain.block, chain.block_hash) == after


def test_a_deal_with_other_votes_is_not_executed_again() -> None:
    """Another transaction about the same deal finds it used."""
    chain = ledger()
    assert send(chain, GOOD).succeeded
    assert send(chain, execution(approvals=6)).reason == "deal_already_used"


def test_the_deadline_itself_is_in_time() -> None:
    """One millisecond later is not."""
    assert send(ledger(), GOOD, TERMS.deadline_ms).succeeded


def test_chain_time_never_goes_back() -> None:
    """A later look or block moves it on for all that follow."""
    chain = ledger()
    assert chain.facts(case_of(), TERMS.deadline_ms + 1).at_ms == TERMS.deadline_ms + 1
    assert send(chain, GOOD, START_MS).reason == "deadline_passed"


def test_facts_are_what_the_ledger_holds() -> None:
    """Before, after, and of things it has never heard of."""
    chain = ledger()
    money = 1_000 * USDC
    assert chain.facts(case_of(), 5) == Facts(
        wallet("seller"), ITEM.traits, True, money, money, False, False, False, 0, 5
    )
    send(chain, GOOD, 7)
    left = 920 * USDC
    assert chain.facts(case_of(), 7) == Facts(wallet("buyer"), ITEM.traits, False, left, left, True, True, True, 1, 7)
    zero = "0" * 64
    unknown = terms_of(item=samples.item(9), buyer_wallet="0x9", buyer_mandate=zero, seller_mandate=zero, deal="d")
    assert chain.facts(case_of(unknown), 7) == Facts(NOBODY, {}, False, 0, 0, False, False, False, 1, 7)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b"[]"])
def test_bytes_that_are_no_execution_are_an_error(raw: bytes) -> None:
    """They mine no block."""
    chain = ledger()
    with pytest.raises(ChainError):
        chain.send(raw, START_MS)
    assert (chain.block, chain.sent("0x")) == (0, Sent())


def test_standing_tells_who_executed_a_deal_and_what_time_it_is() -> None:
    """Refused transactions execute nothing; whichever succeeded is told, with the room's latest time."""
    chain = ledger()
    refused = execution(approvals=4)
    assert send(chain, refused, 5).succeeded is False
    assert chain.standing(TERMS, 7) == Standing(7)
    receipt = send(chain, GOOD, 9)
    assert chain.standing(TERMS, 8) == Standing(9, receipt)
    assert chain.standing(terms_of(round_=6), TERMS.deadline_ms + 1) == Standing(TERMS.deadline_ms + 1)


def test_nothing_gets_stuck_on_a_ledger() -> None:
    """So nothing can be repriced, and asking says why."""
    chain = ledger()
    with pytest.raises(ChainError, match="no fees"):
        chain.reprice(chain.prepare(GOOD).tx_hash)


def test_an_item_is_minted_once() -> None:
    """Its owner stays who it was."""
    chain = ledger()
    with pytest.raises(ChainError):
        chain.mint(
            LedgerMinted(approved=True, collection=COLLECTION, owner="0x1", token_id=ITEM.token_id, traits=ITEM.traits)
        )
    assert chain.owners == {KEY: wallet("seller")}


# --- Random histories -----------------------------------------------------------------------------------

PEOPLE = ("a", "b", "c")


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    """A deal between any two of three people about any of two items, sometimes with something wrong."""
    number, buying, selling = draw(st.integers(1, 2)), draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(PEOPLE))
    counter = draw(st.integers(0, 50))
    buyer = samples.buyer_mandate(buying, counter=counter)
    seller = samples.seller_mandate(selling, counter=counter, item=samples.item(number))
    price = draw(st.sampled_from([59, 60, 75, 100, 101])) * USDC
    approvals = draw(st.sampled_from([7, 7, 7, 5, 4]))
    return execution(buyer, seller, price=price, round_=counter, approvals=approvals, signing=(buying, selling))


def peopled() -> LedgerChain:
    chain = LedgerChain()
    for name in PEOPLE:
        chain.fund(LedgerFunded(250 * USDC, 200 * USDC, wallet(name)))
    for number in (1, 2):
        chain.mint(
            LedgerMinted(
                approved=True,
                collection=COLLECTION,
                owner=wallet("a"),
                token_id=str(number),
                traits=samples.item(number).traits,
            )
        )
    chain.register(SET)
    return chain


@given(st.lists(st.tuples(executions(), st.integers(0, 200)), max_size=12), st.lists(st.sampled_from("12"), max_size=6))
def test_money_and_items_are_conserved_and_hashes_repeat(sent: list[tuple[Execution, int]], again: list[str]) -> None:
    """Over any history: nothing appears or vanishes, each item has one owner, and a second ledger is equal in all."""
    chains = [peopled(), peopled()]
    for what, at in sent:
        receipts = []
        for chain in chains:
            chain.approved |= {(COLLECTION, number) for number in again}  # owners approve anew
            before = holdings(chain)
            receipts.append(send(chain, what, START_MS + at * samples.ROUND_MS))
            chain.assert_conserved()
            assert sum(chain.balances.values()) == len(PEOPLE) * 200 * USDC
            assert all(money >= 0 for money in [*chain.balances.values(), *chain.allowances.values()])
            assert sorted(chain.owners) == [(COLLECTION, "1"), (COLLECTION, "2")]
            if not receipts[-1].succeeded:
                assert holdings(chain) == before
        assert receipts[0] == receipts[1]
    assert (chains[0].block, chains[0].block_hash) == (chains[1].block, chains[1].block_hash)
    assert chains[0].block <= len(sent)


def test_another_order_has_other_hashes() -> None:
    """A block's hash covers all before it."""
    one, two = execution(), execution(approvals=4)
    chains = [peopled(), peopled()]
    for chain, order in zip(chains, ([one, two], [two, one]), strict=True):
        for what in order:
            send(chain, what)
    assert chains[0].block_hash != chains[1].block_hash
