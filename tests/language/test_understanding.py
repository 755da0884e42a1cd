"""Which price people's words name, and that anything doubtful names none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.money import PRICE_MAX_USDC_MICROS
from agentrooms.language.price import price_text
from agentrooms.language.understanding import price_in

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("text", "usdc"),
    [
        ("I'd take 45.50 USDC", "45.50"),
        ("45.5", "45.50"),
        ("how about $1,250 for it?", "1250"),
        ("1,234,567.89 usdc it is", "1234567.89"),
        ("50$ it is. I said 50.00!", "50"),
        ("I'd give 60 for #3100.", "60"),
        ("would you do 0.01 USDC?", "0.01"),
        ("100000000 usdc", "100000000"),
        ("I take 12.", "12"),
    ],
)
def test_plain_prices(text: str, usdc: str) -> None:
    whole, _, cents = usdc.partition(".")
    assert price_in(text) == int(whole) * 1_000_000 + int(cents.ljust(2, "0") or "0") * 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello there",
        "40 or 45 USDC",
        "45.505 USDC",
        "-45 USDC",
        "-$45",
        "I'd pay - $ 45",
        "\u221245 USDC",
        "+45 USDC",
        "1e3 USDC",
        "0x45 USDC",
        "45k USDC",
        "٤٥ USDC",
        "\uff14\uff15 USDC",
        "45½ USDC",
        "12,34 USDC",
        "1.250,50 USDC",
        "10% off for 10%",
        "0 USDC",
        "100000000.01 USDC",
        "99999999999999999999 USDC",
        "#3100 is nice",
        "45..5 USDC",
        "between 40-45 USDC",
        "It is 7 months old now",
        "5/6 USDC",
    ],
)
def test_doubtful_words_name_no_price(text: str) -> None:
    assert price_in(text) is None


@given(st.integers(1, PRICE_MAX_USDC_MICROS // 10_000), st.booleans())
def test_a_price_as_we_write_it_is_read_back(cents: int, short: bool) -> None:
    text = price_text(cents * 10_000, short=short)
    assert price_in(f"I'd do {text}.") == cents * 10_000
    assert price_in(f"{text}? Yes, {text}!") == cents * 10_000


@given(
    st.integers(1, PRICE_MAX_USDC_MICROS // 10_000),
    st.integers(1, PRICE_MAX_USDC_MICROS // 10_000),
)
def test_two_different_prices_are_none(one: int, other: int) -> None:
    found = price_in(f"{price_text(one * 10_000)} or {price_text(other * 10_000)}")
    assert found == (one * 10_000 if one == other else None)


@given(st.text(max_size=300))
def test_any_text_names_a_whole_price_or_none(text: str) -> None:
    price = price_in(text)
    assert price is None or (0 < price <= PRICE_MAX_USDC_MICROS and price % 10_000 == 0)


def _rows(name: str) -> list[dict[str, object]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_human_haggling_is_read_right_or_not_at_all() -> None:
    right = wrong = invented = 0
    for row in _rows("utterances_dev.jsonl"):
        found, price = price_in(str(row["text"])), row["price"]
        if found is None:
            continue
        if price is None:
            invented += 1
        elif found == int(float(str(price)) * 1_000_000):
            right += 1
        else:
            wrong += 1
    assert (wrong, right >= 50, invented <= 10) == (0, True, True)


def test_attacks_name_no_price() -> None:
    assert {price_in(str(row["text"])) for row in _rows("injection_samples.jsonl")} == {None}
