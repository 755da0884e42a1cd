"""What a verifier checks: each reason alone, all together, and whose fault it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.consensus.judgement import AT_FAULT, Facts, at_fault, judge
from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.deal import Terms
from agentrooms.domain.mandate import SignedMandate
from tests.domain import samples
from tests.domain.samples import BUYER, SELLER, START_MS, TERMS, USDC, terms_of

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
    assert judge(TERMS, BUYER, SELLER, replace(GOOD, at_ms=TERMS.deadline_ms)) == ()


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
    ],
)
def test_each_fact_alone_gives_exactly_its_reason(changes: dict[str, Any], reason: str) -> None:
    """One thing wrong, one reason."""
    assert judge(TERMS, BUYER, SELLER, replace(GOOD, **changes)) == (reason,)


def case(buyer: SignedMandate = BUYER, seller: SignedMandate = SELLER, **changes: Any) -> tuple[Any, ...]:
    """Terms that name these mandates, so that nothing but the mandates' content is wrong."""
    return terms_of(buyer, seller, **changes), buyer, seller


UNSIGNED = replace(BUYER, signature="00" * 64)
RARE = Wants(WantKind.TRAITS, traits={"grade": "rare"})
SAME_WALLET = samples.buyer_mandate("seller")
MANDATE_CASES: list[tuple[str, tuple[Any, ...]]] = [
    ("buyer_mandate_invalid:missing", (TERMS, None, SELLER)),
    ("seller_mandate_invalid:missing", (TERMS, BUYER, None)),
    ("buyer_mandate_invalid:other", (TERMS, samples.buyer_mandate(counter=1), SELLER)),
    ("seller_mandate_invalid:other", (TERMS, BUYER, samples.seller_mandate(counter=1))),
    ("buyer_mandate_invalid:collection", case(samples.buyer_mandate(collection="0x1"))),
    (
        "seller_mandate_invalid:collection",
        case(seller=samples.seller_mandate(collection="0x1"), collection=samples.COLLECTION),
    ),
    ("buyer_mandate_invalid:signature", (TERMS, UNSIGNED, SELLER)),
    ("seller_mandate_invalid:signature", (TERMS, BUYER, replace(SELLER, public_key=BUYER.public_key))),
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


@pytest.mark.parametrize(("reason", "parts"), MANDATE_CASES, ids=[reason for reason, _parts in MANDATE_CASES])
def test_each_fault_of_a_mandate_alone_gives_exactly_its_reason(reason: str, parts: tuple[Any, ...]) -> None:
    """Missing, another's, unsigned, or broken by the deal."""
    terms, buyer, seller = parts
    assert judge(terms, buyer, seller, GOOD) == (reason,)


def test_mandates_of_swapped_roles_are_others() -> None:
    """A seller's mandate does not buy."""
    swapped = terms_of(BUYER, SELLER, buyer_mandate=TERMS.seller_mandate, buyer_wallet=TERMS.seller_wallet)
    assert "buyer_mandate_invalid:other" in judge(swapped, SELLER, SELLER, GOOD)


def test_nobody_trades_with_itself() -> None:
    """One wallet on both sides."""
    assert judge(terms_of(SAME_WALLET), SAME_WALLET, SELLER, GOOD) == ("self_trade",)


def test_a_price_off_the_ticks_breaks_both_mandates() -> None:
    """Each party's own limit says so."""
    assert judge(
        terms_of(price=80 * USDC + 1),
        BUYER,
        SELLER,
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
    ]
    assert judge(TERMS, BUYER, SELLER, facts) == tuple(sorted(expected))


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
    mandates = {reason.split(":")[0] for reason, _parts in MANDATE_CASES}
    assert set(AT_FAULT) == facts | mandates
    assert isinstance(TERMS, Terms)
