"""What a verifier checks: each reason alone, all together, and whose fault it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.ledger import LEDGER
from agentrooms.consensus.judgement import AT_FAULT, REASONS, Case, Facts, at_fault, judge
from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.deal import Acceptance, Terms
from agentrooms.domain.eip712 import EscrowDomain
from agentrooms.domain.mandate import SignedMandate, sign_mandate
from tests.domain import samples
from tests.domain.samples import BUYER, SELLER, START_MS, TERMS, USDC, acceptances, case_of, terms_of

GOOD = Facts(
    owner=TERMS.seller_wallet,
    traits=TERMS.item.traits,
    approved=True,
    balance_usdc_micros=TERMS.price_usdc_micros,
    allowance_usdc_micros=TERMS.price_usdc_micros,
    deal_used=False,
    buyer_mandate_spent=False,
    seller_mandate_spent=False,
    block=1,
    at_ms=START_MS,
)
replace = msgspec.structs.replace


def test_a_good_deal_has_nothing_against_it() -> None:
    """On every limit it still stands: price, money and deadline are exact."""
    assert judge(case_of(), replace(GOOD, at_ms=TERMS.deadline_ms)) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"owner": "0x1"}, "seller_does_not_own_item"),
        ({"approved": False}, "item_not_approved"),
        ({"balance_usdc_micros": TERMS.price_usdc_micros - 1}, "balance_too_low"),
        ({"allowance_usdc_micros": TERMS.price_usdc_micros - 1}, "allowance_too_low"),
        ({"deal_used": True, "buyer_mandate_spent": True}, "deal_already_used"),
        ({"buyer_mandate_spent": True}, "buyer_mandate_spent"),
        ({"seller_mandate_spent": True}, "seller_mandate_spent"),
        ({"traits": {**TERMS.item.traits, "grade": "rare"}}, "item_traits_differ"),
        ({"traits": {}}, "item_traits_differ"),
        ({"at_ms": TERMS.deadline_ms + 1}, "deadline_passed"),
        ({"buyer_cancelled": True}, "buyer_mandate_invalid:cancelled"),
        ({"seller_cancelled": True}, "seller_mandate_invalid:cancelled"),
        ({"paused": True}, "paused"),
        ({"set_version": 2}, "other_set_version"),
    ],
)
def test_each_fact_alone_gives_exactly_its_reason(changes: dict[str, Any], reason: str) -> None:
    """One thing wrong, one reason."""
    assert judge(case_of(), replace(GOOD, **changes)) == (reason,)
    assert reason in REASONS


def case(
    buyer: SignedMandate = BUYER,
    seller: SignedMandate = SELLER,
    signing: tuple[str, str] = ("buyer", "seller"),
    **changes: Any,
) -> Case:
    """Terms that name these mandates, so that nothing but the mandates' content is wrong."""
    terms = terms_of(buyer, seller, **changes)
    return Case(terms=terms, buyer=buyer, seller=seller, acceptances=acceptances(terms, *signing))


UNSIGNED = replace(BUYER, signature="00" * 64)
RARE = Wants(WantKind.TRAITS, traits={"grade": "rare"})
SAME_WALLET = samples.buyer_mandate("seller")
ELSEWHERE = "0x" + "1" * 40
FOR_ANOTHER_ESCROW = sign_mandate(BUYER.mandate, EscrowDomain(LEDGER.chain_id, ELSEWHERE), samples.wallet_key("buyer"))
MANDATE_CASES: list[tuple[str, Case]] = [
    ("buyer_mandate_invalid:missing", case_of(buyer=None)),
    ("seller_mandate_invalid:missing", case_of(seller=None)),
    ("buyer_mandate_invalid:other", case_of(buyer=samples.buyer_mandate(counter=1))),
    ("seller_mandate_invalid:other", case_of(seller=samples.seller_mandate(counter=1))),
    ("seller_mandate_invalid:other", case_of(seller=replace(SELLER, mandate=replace(SELLER.mandate, salt="")))),
    ("buyer_mandate_invalid:collection", case(samples.buyer_mandate(collection=ELSEWHERE))),
    (
        "seller_mandate_invalid:collection",
        case(seller=samples.seller_mandate(collection=ELSEWHERE), collection=samples.COLLECTION),
    ),
    ("buyer_mandate_invalid:currency", case(samples.buyer_mandate(currency=ELSEWHERE))),
    (
        "seller_mandate_invalid:currency",
        case(seller=samples.seller_mandate(currency=ELSEWHERE), currency=LEDGER.currency),
    ),
    ("buyer_mandate_invalid:signature", case_of(buyer=UNSIGNED)),
    ("buyer_mandate_invalid:signature", case_of(buyer=FOR_ANOTHER_ESCROW)),
    ("seller_mandate_invalid:signature", case_of(seller=replace(SELLER, signature=BUYER.signature))),
    ("buyer_mandate_invalid:mandate_not_started", case(samples.buyer_mandate(not_before_ms=START_MS + 1))),
    ("buyer_mandate_invalid:mandate_expired", case(samples.buyer_mandate(expires_at_ms=START_MS))),
    ("buyer_mandate_invalid:item_not_wanted", case(samples.buyer_mandate(wants=RARE))),
    ("buyer_mandate_invalid:price_above_limit", case(samples.buyer_mandate(reservation_usdc_micros=79 * USDC))),
    (
        "seller_mandate_invalid:price_below_limit",
        case(seller=samples.seller_mandate(reservation_usdc_micros=81 * USDC)),
    ),
    ("seller_mandate_invalid:price_above_maximum", case(seller=samples.seller_mandate(maximum_usdc_micros=79 * USDC))),
    ("seller_mandate_invalid:item_not_mandated", case(item=samples.item(2))),
]


@pytest.mark.parametrize(("reason", "what"), MANDATE_CASES, ids=[reason for reason, _case in MANDATE_CASES])
def test_each_fault_of_a_mandate_alone_gives_exactly_its_reason(reason: str, what: Case) -> None:
    """Missing, another's, unsigned, or broken by the deal."""
    assert judge(what, GOOD) == (reason,)
    assert reason in REASONS


BUYERS_WORD, SELLERS_WORD = acceptances()
FORGED_WORD = replace(BUYERS_WORD, session=SELLERS_WORD.session)
WORD_CASES: list[tuple[tuple[str, ...], tuple[Acceptance, ...]]] = [
    ((), (BUYERS_WORD, SELLERS_WORD)),
    ((), (SELLERS_WORD, BUYERS_WORD)),
    (("buyer_acceptance_invalid",), (SELLERS_WORD,)),
    (("seller_acceptance_invalid",), (BUYERS_WORD,)),
    (("buyer_acceptance_invalid", "seller_acceptance_invalid"), ()),
    (("buyer_acceptance_invalid",), (FORGED_WORD, SELLERS_WORD)),
    (("buyer_acceptance_invalid",), (replace(BUYERS_WORD, identity=""), SELLERS_WORD)),
    (("buyer_acceptance_invalid",), (replace(SELLERS_WORD, agent=TERMS.buyer), SELLERS_WORD)),
    (("buyer_acceptance_invalid",), (BUYERS_WORD, FORGED_WORD, SELLERS_WORD)),
    (("buyer_acceptance_invalid",), (BUYERS_WORD, BUYERS_WORD, SELLERS_WORD)),
    (("seller_acceptance_invalid",), (BUYERS_WORD, acceptances(terms_of(price=81 * USDC))[1])),
]


@pytest.mark.parametrize(("reasons", "words"), WORD_CASES)
def test_each_agent_has_given_its_word_once(reasons: tuple[str, ...], words: tuple[Acceptance, ...]) -> None:
    """Of both keys, for these terms; a second word beside the good one is none."""
    assert judge(replace(case_of(), acceptances=words), GOOD) == reasons


def test_a_contracts_wallet_signs_by_saying_so_on_chain() -> None:
    """For its own mandate only; what else is wrong with it stays wrong."""
    unsigned = replace(SELLER, signature="")
    both = replace(case_of(), buyer=UNSIGNED, seller=unsigned)
    wrong = ("buyer_mandate_invalid:signature", "seller_mandate_invalid:signature")
    said = [
        judge(both, replace(GOOD, buyer_contract_signed=buyer, seller_contract_signed=seller))
        for buyer, seller in ((False, False), (True, False), (False, True), (True, True))
    ]
    assert said == [wrong, wrong[1:], wrong[:1], ()]
    late = replace(GOOD, buyer_contract_signed=True, at_ms=samples.EXPIRES_MS)
    assert "buyer_mandate_invalid:mandate_expired" in judge(both, late)


def test_mandates_of_swapped_roles_are_others() -> None:
    """A seller's mandate does not buy."""
    swapped = terms_of(BUYER, SELLER, buyer_mandate=TERMS.seller_mandate, buyer_wallet=TERMS.seller_wallet)
    assert "buyer_mandate_invalid:other" in judge(case_of(swapped, SELLER), GOOD)


def test_nobody_trades_with_itself() -> None:
    """One wallet on both sides."""
    assert judge(case(SAME_WALLET, signing=("seller", "seller")), GOOD) == ("self_trade",)


def test_a_price_off_the_ticks_breaks_both_mandates() -> None:
    """Each party's own limit says so."""
    assert judge(
        case(price=80 * USDC + 1),
        replace(GOOD, balance_usdc_micros=10**9, allowance_usdc_micros=10**9),
    ) == (
        "buyer_mandate_invalid:price_not_a_tick",
        "seller_mandate_invalid:price_not_a_tick",
    )


@given(
    st.builds(
        Facts,
        owner=st.sampled_from([TERMS.seller_wallet, "0x1"]),
        traits=st.sampled_from([TERMS.item.traits, {}]),
        approved=st.booleans(),
        balance_usdc_micros=st.sampled_from([0, TERMS.price_usdc_micros]),
        allowance_usdc_micros=st.sampled_from([0, TERMS.price_usdc_micros]),
        deal_used=st.booleans(),
        buyer_mandate_spent=st.booleans(),
        seller_mandate_spent=st.booleans(),
        block=st.just(1),
        at_ms=st.sampled_from([START_MS, TERMS.deadline_ms, TERMS.deadline_ms + 1]),
        buyer_cancelled=st.booleans(),
        seller_cancelled=st.booleans(),
        paused=st.booleans(),
        set_version=st.sampled_from([1, 2]),
    )
)
def test_reasons_add_up_and_are_sorted(facts: Facts) -> None:
    """No reason hides another."""
    expected = [
        *(["seller_does_not_own_item"] if facts.owner != TERMS.seller_wallet else []),
        *(["item_not_approved"] if not facts.approved else []),
        *(["balance_too_low"] if facts.balance_usdc_micros == 0 else []),
        *(["allowance_too_low"] if facts.allowance_usdc_micros == 0 else []),
        *(["deal_already_used"] if facts.deal_used else []),
        *(["buyer_mandate_spent"] if facts.buyer_mandate_spent and not facts.deal_used else []),
        *(["seller_mandate_spent"] if facts.seller_mandate_spent and not facts.deal_used else []),
        *(["item_traits_differ"] if not facts.traits else []),
        *(["deadline_passed"] if facts.at_ms > TERMS.deadline_ms else []),
        *(["buyer_mandate_invalid:cancelled"] if facts.buyer_cancelled else []),
        *(["seller_mandate_invalid:cancelled"] if facts.seller_cancelled else []),
        *(["paused"] if facts.paused else []),
        *(["other_set_version"] if facts.set_version != 1 else []),
    ]
    assert judge(case_of(), facts) == tuple(sorted(expected))


@pytest.mark.parametrize(
    ("reason", "agents"),
    [
        ("seller_does_not_own_item", ("agent_s",)),
        ("item_not_approved", ("agent_s",)),
        ("balance_too_low", ("agent_b",)),
        ("allowance_too_low", ("agent_b",)),
        ("seller_mandate_invalid:signature", ("agent_s",)),
        ("buyer_mandate_invalid:mandate_expired", ("agent_b",)),
        ("buyer_mandate_spent", ("agent_b",)),
        ("seller_mandate_spent", ("agent_s",)),
        ("item_traits_differ", ("agent_s",)),
        ("buyer_mandate_invalid:cancelled", ("agent_b",)),
        ("seller_mandate_invalid:cancelled", ("agent_s",)),
        ("buyer_acceptance_invalid", ("agent_b",)),
        ("seller_acceptance_invalid", ("agent_s",)),
        ("paused", ()),
        ("other_set_version", ()),
        ("deadline_passed", ()),
        ("deal_already_used", ()),
        ("self_trade", ()),
        ("certificate_invalid", ()),
        ("deadline_passed_unused", ()),
        ("", ()),
        ("anything else", ()),
    ],
)
def test_who_is_at_fault(reason: str, agents: tuple[str, ...]) -> None:
    """The party whose doing it was; nobody for what neither caused."""
    assert at_fault(reason, TERMS) == agents


def test_every_reason_of_the_table_can_be_found() -> None:
    """No fault is assigned for a reason that no judge gives."""
    facts = {"seller_does_not_own_item", "item_not_approved", "balance_too_low", "allowance_too_low"}
    facts |= {"buyer_mandate_spent", "seller_mandate_spent", "item_traits_differ"}
    mandates = {reason.split(":")[0] for reason, _case in MANDATE_CASES}
    words = {reason for reasons, _words in WORD_CASES for reason in reasons}
    assert set(AT_FAULT) == facts | mandates | words
    assert isinstance(TERMS, Terms)
