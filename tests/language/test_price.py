"""Prices are spoken exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.language.price import price_text


@pytest.mark.parametrize(
    ("micros", "full", "short"),
    [
        (0, "0.00 USDC", "0 USDC"),
        (10_000, "0.01 USDC", "0.01 USDC"),
        (48_500_000, "48.50 USDC", "48.50 USDC"),
        (9_450_000_000, "9,450.00 USDC", "9,450 USDC"),
        (1_234_567_890_000, "1,234,567.89 USDC", "1,234,567.89 USDC"),
        (1, "0.000001 USDC", "0.000001 USDC"),
    ],
)
def test_a_price_in_words(micros: int, full: str, short: str) -> None:
    assert (price_text(micros), price_text(micros, short=True)) == (full, short)


@given(st.integers(0, 10**24), st.booleans())
def test_the_text_gives_the_amount_back(micros: int, short: bool) -> None:
    whole, _, rest = price_text(micros, short=short).removesuffix(" USDC").replace(",", "").partition(".")
    assert int(whole) * 1_000_000 + int(rest.ljust(6, "0")) == micros
