"""What people's words name. It may lead to a proposal that they confirm, never to an act by itself."""

from __future__ import annotations

import re

from agentrooms.domain.money import PRICE_MAX_USDC_MICROS, TICK_USDC_MICROS, USDC_MICROS

_CUE = r"at|about|accept|around|ask|asking|do|for|go|give|just|lowest|maybe|offer|over|pay|say|take|to|want"
_NAME = re.compile(r"#\s?[0-9]+\b")  # an item
_RUN = re.compile(r"[0-9][0-9.,]*")
_PRICE = re.compile(r"(?P<whole>[0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})(?:\.(?P<cents>[0-9]{1,2}))?")
_BEFORE = re.compile(rf"(?:(?P<mark>\$|\busdc\s?)|\b(?:{_CUE})\s)\s?$")
_AFTER = re.compile(r"\s?(?:(?P<mark>\$|(?:usdc|usd|dollars?|bucks)\b)|(?=[.!?,;]?\s*$))")


def price_in(text: str) -> int | None:
    """Returns the one price that a text names, in micro-USDC; None when it names none, or is not plain about it.

    A number is a price when it is marked as money, follows a word such as "for", or is all there is. Several different
    numbers, more than two decimals, signs, other digits than 0-9 and numbers that are part of a word make it None:
    better no proposal than one that nobody meant.
    """
    said = _NAME.sub(" ", text).lower()
    if any(letter.isnumeric() and letter not in "0123456789" for letter in said):
        return None
    prices: set[int] = set()
    priced = False
    for run in _RUN.finditer(said):
        price = _price(said, run)
        if price is None:
            return None
        prices.add(price)
        priced = priced or _is_money(said, run)
    return prices.pop() if priced and len(prices) == 1 else None


def _price(said: str, run: re.Match[str]) -> int | None:
    """Returns what a run of digits is in micro-USDC, None when it is no whole amount of cents."""
    before, after = said[: run.start()], said[run.start() + len(_digits(run)) :]
    if re.search(r"[\w\-+−.,']$|[\-+−]\s?\$\s?$", before) or re.match(r"[\w%'’\-/]", after):
        return None
    match = _PRICE.fullmatch(_digits(run))
    if match is None:
        return None
    micros = int(match["whole"].replace(",", "")) * USDC_MICROS
    micros += int((match["cents"] or "0").ljust(2, "0")) * TICK_USDC_MICROS
    return micros if 0 < micros <= PRICE_MAX_USDC_MICROS else None


def _digits(run: re.Match[str]) -> str:
    """Returns a run of digits without the full stop or comma that ends it."""
    return run.group().rstrip(".,")


def _is_money(said: str, run: re.Match[str]) -> bool:
    before, after = said[: run.start()], said[run.start() + len(_digits(run)) :]
    if _BEFORE.search(before) is not None:
        return True
    found = _AFTER.match(after)
    return found is not None and (found["mark"] is not None or not before.strip())
