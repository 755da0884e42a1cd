"""Money, ids and draws, canonical bytes, mandates, items, keys: the values everything else stands on."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain import money
from agentrooms.domain.assets import Item, WantKind, Wants, is_token_id, token_number
from agentrooms.domain.canonical import canonical, digest, is_normal, normalise
from agentrooms.domain.eip712 import WORD_MAX, EscrowDomain
from agentrooms.domain.ids import derive_id, draw, draw_below, picker, seed_bytes
from agentrooms.domain.keys import derive_key, public_hex, sign, verify
from agentrooms.domain.mandate import (
    SALT_HEX_DIGITS,
    WANTED_ITEMS_MAX,
    WANTED_TRAITS_MAX,
    breach,
    broken_rule,
    check_mandate,
    is_signed,
    mandate_hash,
)
from agentrooms.domain.record import MESSAGES_A_MINUTE, Record, may_speak
from agentrooms.errors import InvalidInput
from tests.domain import samples
from tests.domain.samples import BUYER, EXPIRES_MS, ITEM, KEY, SELLER, START_MS, USDC, item

PRICES = st.integers(0, money.PRICE_MAX_USDC_MICROS // money.TICK_USDC_MICROS).map(lambda t: t * money.TICK_USDC_MICROS)

# --- Money ----------------------------------------------------------------------------------------------


@given(PRICES)
def test_an_amount_reads_back_as_it_was_written(micros: int) -> None:
    """Every whole tick up to the largest price survives its text, with and without the thousands' commas."""
    assert money.parse_usdc(money.format_usdc(micros).replace(",", "")) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "nan",
        "inf",
        "1e3",
        "1E3",
        "+1",
        "-1",
        "-0",
        "0x10",
        "1_000",
        "1,000",
        "1.",
        ".5",
        "1.234",
        "1.2.3",
        "1 000",
        "٤٨",
        "４８",
        "4８",
        "1．5",
        "48 USDC",
        "$48",
        "100000000.01",
        "9" * 13,
        "1\n2",
    ],
)
def test_what_is_no_plain_amount_is_refused(text: str) -> None:
    """Exponents, signs, a third decimal, other scripts' digits, units and too much money are not read."""
    with pytest.raises(InvalidInput):
        money.parse_usdc(text)


@given(st.text(max_size=12))
def test_no_text_makes_a_wrong_amount(text: str) -> None:
    """Any text is refused or is an amount in whole ticks that its digits say."""
    try:
        micros = money.parse_usdc(text)
    except InvalidInput:
        return
    assert 0 <= micros <= money.PRICE_MAX_USDC_MICROS
    assert micros % money.TICK_USDC_MICROS == 0
    whole, _dot, cents = text.strip().partition(".")
    assert (whole + cents.ljust(2, "0")).isascii()
    assert int(whole + cents.ljust(2, "0")) * money.TICK_USDC_MICROS == micros


@given(st.integers(-(10**15), 10**15))
def test_a_tick_is_at_or_just_below_its_amount(micros: int) -> None:
    """Rounding is downwards and idempotent."""
    tick = money.to_tick(micros)
    assert 0 <= micros - tick < money.TICK_USDC_MICROS
    assert money.to_tick(tick) == tick


def test_amounts_are_shown_with_commas_cents_and_all_their_dust() -> None:
    """Nothing of an amount is hidden by rounding."""
    shown = {0: "0.00", 9_450_000_000: "9,450.00", 1: "0.000001", 1_010_001: "1.010001", -1_500_000: "-1.50"}
    assert {micros: money.format_usdc(micros) for micros in shown} == shown


def test_a_price_is_positive_whole_ticks_within_the_largest() -> None:
    """The bounds themselves."""
    assert [money.is_price(p) for p in (10_000, money.PRICE_MAX_USDC_MICROS)] == [True, True]
    assert not any(money.is_price(p) for p in (0, -10_000, 1, 15_000, money.PRICE_MAX_USDC_MICROS + 10_000))


# --- Ids and draws --------------------------------------------------------------------------------------


def test_ids_and_draws_never_change() -> None:
    """Golden values: another value here means that every log and seed of the past reads differently."""
    assert derive_id("room", "run_1", 0) == "room_qkqpzyx6ubtx4"
    assert derive_id("user", "0x" + "a" * 40) == "user_gp4cpwwbwpote"
    assert seed_bytes(7).hex() == "7e69ad5601733427ef831dbb04647a7c"
    assert draw(seed_bytes(7), "order", "agent_1", 3, 1) == 7734636305939903348
    assert (
        public_hex(derive_key(seed_bytes(7), "wallet", "agent_1"))
        == "c04f04fcb7e4ca1474d8cc03f5250ee18cbad4d598cf62f5d7b13bfaa0ee398b"
    )


@given(st.lists(st.tuples(st.text(max_size=4), st.integers(-3, 3)), min_size=2, max_size=2, unique=True))
def test_different_parts_make_different_ids(pairs: list[tuple[str, int]]) -> None:
    """Two things share no id."""
    one, two = pairs
    assert derive_id("x", *one) != derive_id("x", *two)
    assert derive_id("x", *one) != derive_id("y", *one)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9), st.integers(1, 10**6))
def test_a_draw_depends_on_its_own_name_alone(seed: int, round_: int, k: int, bound: int) -> None:
    """Other draws in between change nothing; every part of the name counts."""
    key = seed_bytes(seed)
    first = draw(key, "p", "a", round_, k)
    others = [
        draw(key, "q", "a", round_, k),
        draw(key, "p", "b", round_, k),
        draw(key, "p", "a", round_ + 1, k),
        draw(key, "p", "a", round_, k + 1),
        draw(seed_bytes(seed + 1), "p", "a", round_, k),
    ]
    assert draw(key, "p", "a", round_, k) == first
    assert first not in others
    assert draw_below(key, bound, "p", "a", round_, k) == first % bound


def test_a_picker_gives_the_successive_draws_of_its_purpose() -> None:
    """Two pickers do not share a count."""
    pick, other = picker(KEY, "p", "a", 1), picker(KEY, "p", "a", 1)
    picked = [pick(1000), other(1000), pick(1000), other(1000)]
    expected = [draw_below(KEY, 1000, "p", "a", 1, k) for k in (1, 2)]
    assert picked == [expected[0], expected[0], expected[1], expected[1]]


def test_draws_are_about_uniform() -> None:
    """Of ten thousand draws below ten, each value has its tenth (five standard deviations of room)."""
    counts = [0] * 10
    for round_ in range(10_000):
        counts[draw_below(KEY, 10, "uniform", round_=round_)] += 1
    assert all(850 <= count <= 1150 for count in counts), counts


# --- Canonical bytes ------------------------------------------------------------------------------------

NFC_TEXT = st.text(st.characters(exclude_categories=["Cs"])).map(lambda t: unicodedata.normalize("NFC", t))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NFC_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NFC_TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_canonical_bytes_read_back_and_have_sorted_keys_and_no_blanks(value: object) -> None:
    """One value has one encoding, the one Python's own encoder gives under the same rules."""
    import json

    data = canonical(value)
    assert msgspec.json.decode(data) == value
    assert json.loads(data) == value
    assert canonical(json.loads(data)) == data


@given(st.dictionaries(NFC_TEXT, st.integers(0, 9), min_size=2))
def test_the_order_of_insertion_does_not_show(value: dict[str, int]) -> None:
    """Dicts that are equal have equal bytes."""
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_that_is_not_in_normal_form_is_refused_wherever_it_stands(text: str) -> None:
    """Also as a key and deep inside."""
    composed = unicodedata.is_normalized("NFC", text)
    for value in (text, [text, 1], {text: 1}, {"a": {"b": text}}):
        try:
            canonical(value)
        except InvalidInput:
            assert not composed
        else:
            assert composed


@given(
    st.text(
        st.sampled_from(
            "eaé \u0301\u0300\x00\x1f\n\t\u200b\u200d\u202e\u2028\ufe0f❤\ud800\u212bA\u030a한ᄒ\u1161\u11ab"
        )
    )
)
def test_a_normalised_text_is_always_canonical(text: str) -> None:
    """Every text from outside can be stored after `normalise`, which changes nothing the second time."""
    clean = normalise(text)
    assert normalise(clean) == clean
    assert msgspec.json.decode(canonical(clean)) == clean
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in clean if c != "\u200d")
    assert is_normal(clean)
    assert is_normal(text) == (text == clean)


@pytest.mark.parametrize(
    "unseen", ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\u00ad", "\u2028", "\x7f", "\U000e0041"]
)
def test_what_cannot_be_seen_goes(unseen: str) -> None:
    """Two names that look alike are one name; emoji keep what joins and colours them."""
    assert normalise(f"Mi{unseen}ra ❤️‍🔥") == "Mira ❤️‍🔥"


def test_hashes_of_two_purposes_never_meet() -> None:
    """The purpose is part of what is hashed, and cannot run over into the data."""
    assert digest("a", b"bc") != digest("ab", b"c")
    assert digest("a", b"x") == hashlib.sha256(b"a\0x").hexdigest()


# --- Keys -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_signature_holds_for_its_bytes_and_key_only(data: bytes, other: bytes) -> None:
    """Other bytes, another key, no hex and a cut signature are all simply no signature."""
    key = derive_key(KEY, "identity", "a")
    signature, public = sign(key, data), public_hex(key)
    assert verify(public, data, signature)
    assert sign(key, data) == signature
    assert verify(public, other, signature) == (other == data)
    assert not verify(public_hex(derive_key(KEY, "identity", "b")), data, signature)
    assert not any(verify(public, data, bad) for bad in ("", "zz", signature[:-2], signature + "00"))
    assert not any(verify(bad, data, signature) for bad in ("", "zz", public[:-2]))


# --- Items and wants ------------------------------------------------------------------------------------


def test_wants_cover_what_they_say() -> None:
    """Any item, listed items, or items with all given traits."""
    rare = Item("7", "n", {"grade": "rare", "hat": "yes"})
    wants = {
        "any": Wants(),
        "listed": Wants(WantKind.ITEMS, ("7",)),
        "others": Wants(WantKind.ITEMS, ("8",)),
        "trait": Wants(WantKind.TRAITS, traits={"grade": "rare"}),
        "both": Wants(WantKind.TRAITS, traits={"grade": "rare", "hat": "yes"}),
        "one_wrong": Wants(WantKind.TRAITS, traits={"grade": "rare", "hat": "no"}),
        "one_missing": Wants(WantKind.TRAITS, traits={"eyes": "blue"}),
    }
    assert {n for n, w in wants.items() if w.covers(rare)} == {"any", "listed", "trait", "both"}
    assert {n: w.grade("grade") for n, w in wants.items() if w.grade("grade")} == dict.fromkeys(
        ("trait", "both", "one_wrong"), "rare"
    )
    assert (rare.grade("grade"), rare.grade("none")) == ("rare", "")


TOKENS = st.one_of(
    st.integers(0, WORD_MAX).map(str), st.text(max_size=4), st.from_regex(r"[ +-]?0?[0-9]{1,79}\n?", fullmatch=True)
)


@given(TOKENS)
def test_a_token_id_is_the_one_decimal_spelling_of_its_number(text: str) -> None:
    """No sign, blank, leading zero or other script, and nothing that a word of the chain cannot hold."""
    numeric = text.isascii() and text.isdigit() and int(text) <= WORD_MAX and str(int(text)) == text
    assert is_token_id(text) == numeric
    if numeric:
        assert token_number(text) == int(text)
    else:
        with pytest.raises(InvalidInput, match="not a token id"):
            token_number(text)


# --- Mandates -------------------------------------------------------------------------------------------

RARE_ONLY = samples.buyer_mandate(wants=Wants(WantKind.TRAITS, traits={"grade": "rare"}))
NO_MAXIMUM = samples.seller_mandate(maximum_usdc_micros=None)
LATER = samples.buyer_mandate(not_before_ms=START_MS + 5)
BEFORE = EXPIRES_MS - 1
BREACHES: list[tuple[Any, Item, int, int, str | None]] = [
    (BUYER, ITEM, 100 * USDC, BEFORE, None),
    (BUYER, ITEM, 100 * USDC, EXPIRES_MS, "mandate_expired"),
    (BUYER, ITEM, 100 * USDC + 10_000, BEFORE, "price_above_limit"),
    (BUYER, ITEM, 50 * USDC + 1, BEFORE, "price_not_a_tick"),
    (BUYER, ITEM, 0, BEFORE, "price_not_a_tick"),
    (RARE_ONLY, ITEM, 90 * USDC, BEFORE, "item_not_wanted"),
    (RARE_ONLY, item(1, "rare"), 90 * USDC, BEFORE, None),
    (SELLER, ITEM, 60 * USDC, BEFORE, None),
    (SELLER, ITEM, 200 * USDC, BEFORE, None),
    (SELLER, ITEM, 60 * USDC - 10_000, BEFORE, "price_below_limit"),
    (SELLER, ITEM, 200 * USDC + 10_000, BEFORE, "price_above_maximum"),
    (NO_MAXIMUM, ITEM, 10**14, BEFORE, None),
    (SELLER, item(2), 90 * USDC, BEFORE, "item_not_mandated"),
    (SELLER, ITEM, 90 * USDC, EXPIRES_MS, "mandate_expired"),
    (LATER, ITEM, 90 * USDC, START_MS + 5, None),
    (LATER, ITEM, 90 * USDC, START_MS + 4, "mandate_not_started"),
]


@pytest.mark.parametrize(("signed", "what", "price", "at_ms", "expected"), BREACHES)
def test_each_limit_of_a_mandate_is_named_when_broken(
    signed: Any, what: Item, price: int, at_ms: int, expected: str | None
) -> None:
    """On the limit is within it, except for the time, which is over when it has come."""
    assert breach(signed.mandate, what, price, at_ms) == expected


@given(PRICES, st.integers(START_MS, EXPIRES_MS))
def test_a_price_within_both_mandates_breaks_neither(price: int, at_ms: int) -> None:
    """The two limits are exactly the two comparisons."""
    within = 60 * USDC <= price <= 100 * USDC and at_ms < EXPIRES_MS
    both = [breach(m.mandate, ITEM, price, at_ms) for m in (BUYER, SELLER)]
    assert (both == [None, None]) == within


@pytest.mark.parametrize(
    ("signed", "changes"),
    [
        (BUYER, {"start_usdc_micros": 101 * USDC}),
        (BUYER, {"reservation_usdc_micros": 0}),
        (BUYER, {"start_usdc_micros": 50 * USDC + 1}),
        (BUYER, {"wants": None}),
        (BUYER, {"item": ITEM}),
        (BUYER, {"maximum_usdc_micros": 100 * USDC}),
        (BUYER, {"wants": Wants(WantKind.ITEMS, tuple(str(n) for n in range(101)))}),
        (BUYER, {"wants": Wants(WantKind.TRAITS, traits={str(n): "x" for n in range(17)})}),
        (BUYER, {"fills": 2}),
        (BUYER, {"fills": 0}),
        (BUYER, {"salt": "a" * 63}),
        (BUYER, {"salt": "A" * 64}),
        (BUYER, {"salt": "g" * 64}),
        (BUYER, {"salt": "٣" * 64}),
        (BUYER, {"salt": "a" * 64 + "\n"}),
        (BUYER, {"wants": Wants(WantKind.ITEMS)}),
        (BUYER, {"wants": Wants(WantKind.TRAITS)}),
        (BUYER, {"wants": Wants(WantKind.TRAITS, traits={"grade": "ra\u202ere"})}),
        (BUYER, {"principal": "0x\n"}),
        (BUYER, {"collection": "0x\u200b"}),
        (BUYER, {"session_key": "e\u0301"}),
        (BUYER, {"session_key": "5" * 64}),
        (BUYER, {"currency": ""}),
        (BUYER, {"collection": "0x" + "C" * 40}),
        (BUYER, {"identity": "0x" + "5" * 62}),
        (BUYER, {"identity": "5" * 63}),
        (BUYER, {"not_before_ms": -1}),
        (BUYER, {"expires_at_ms": 2**256}),
        (BUYER, {"counter": -1}),
        (BUYER, {"wants": Wants(WantKind.ITEMS, ("01",))}),
        (SELLER, {"item": Item("Punk", "Punk", {})}),
        (SELLER, {"item": Item(str(2**256), "Punk", {})}),
        (SELLER, {"item": Item("1", "Punk\u2066", {})}),
        (SELLER, {"item": Item("1", "Punk", {" grade": "rare"})}),
        (SELLER, {"reservation_usdc_micros": 60 * USDC + 1}),
        (SELLER, {"item": None}),
        (SELLER, {"wants": Wants()}),
        (SELLER, {"maximum_usdc_micros": None}),
        (SELLER, {"maximum_usdc_micros": 119 * USDC}),
        (SELLER, {"start_usdc_micros": 59 * USDC}),
    ],
)
def test_a_mandate_that_contradicts_itself_is_refused(signed: Any, changes: dict[str, Any]) -> None:
    """Each rule alone; what is told to all about it has no number of the mandate."""
    check_mandate(signed.mandate)
    assert broken_rule(signed.mandate) is None
    broken = msgspec.structs.replace(signed.mandate, **changes)
    with pytest.raises(InvalidInput):
        check_mandate(broken)
    rule = broken_rule(broken)
    assert rule is not None
    bounds = {str(SALT_HEX_DIGITS), str(WANTED_ITEMS_MAX), str(WANTED_TRAITS_MAX)}
    assert set(re.findall(r"\b\d+", rule.replace("2**256", ""))) <= bounds


def test_a_principal_is_told_its_own_prices() -> None:
    """It must see which number to correct."""
    with pytest.raises(InvalidInput, match=r"start 101\.00, limit 100\.00, maximum none"):
        check_mandate(msgspec.structs.replace(BUYER.mandate, start_usdc_micros=101 * USDC))


def test_a_mandate_hash_is_salted_and_covers_every_field() -> None:
    """Equal limits under another salt hash differently, and so does a change of any field."""
    changes: list[dict[str, Any]] = [
        {"salt": "c" * 64},
        {"reservation_usdc_micros": 99 * USDC},
        {"start_usdc_micros": 49 * USDC},
        {"expires_at_ms": 1},
        {"counter": 1},
        {"not_before_ms": 1},
        {"principal": "0x" + "6" * 40},
        {"session_key": "0x" + "6" * 40},
        {"identity": "6" * 64},
        {"collection": "0x" + "6" * 40},
        {"currency": "0x" + "6" * 40},
        {"fills": 2},
        {"wants": Wants(WantKind.ITEMS, ("1",))},
        {"item": ITEM},
        {"maximum_usdc_micros": 1},
        {"role": SELLER.mandate.role},
    ]
    assert {name for change in changes for name in change} == set(BUYER.mandate.__struct_fields__)
    hashes = {mandate_hash(msgspec.structs.replace(BUYER.mandate, **change)) for change in changes}
    assert len(hashes | {mandate_hash(BUYER.mandate)}) == len(changes) + 1


def test_only_its_principal_can_sign_a_mandate() -> None:
    """Another wallet's good signature, the principal's over other limits or for another escrow, do not count."""
    domain = LEDGER.domain
    assert is_signed(BUYER, domain)
    raised = msgspec.structs.replace(BUYER.mandate, reservation_usdc_micros=101 * USDC)
    others = [
        samples.signed(BUYER.mandate, "seller"),
        msgspec.structs.replace(BUYER, mandate=raised),
        msgspec.structs.replace(BUYER, signature=BUYER.signature[::-1]),
        msgspec.structs.replace(BUYER, signature=""),
    ]
    assert [is_signed(other, domain) for other in others] == [False] * len(others)
    elsewhere = [
        EscrowDomain(domain.chain_id + 1, domain.address),
        EscrowDomain(domain.chain_id, "0x" + "e" * 40),
    ]
    assert [is_signed(BUYER, other) for other in elsewhere] == [False, False]


# --- Records --------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.sampled_from([500, 1_000, 6_000, 7_000]))
def test_no_minute_of_room_time_holds_more_messages_than_allowed(gaps: list[int], round_ms: int) -> None:
    """An agent that tries every few rounds is held to the rate in every window, not only on average."""
    spoken: list[int] = []
    round_ = 0
    for gap in gaps:
        round_ += gap
        if may_speak(Record(recent_rounds=tuple(spoken[-MESSAGES_A_MINUTE:])), round_, round_ms):
            spoken.append(round_)
    for first in spoken:
        assert sum(0 <= (other - first) * round_ms < 60_000 for other in spoken) <= MESSAGES_A_MINUTE
