"""Every line of the shipped files, in every cell, keeps the rules."""

from __future__ import annotations

from itertools import combinations, product

import msgspec
import pytest

from agentrooms.domain.terms import ActKind, Mood, Role, Style
from agentrooms.language import Cue, Happening, guard
from agentrooms.language.linebook import HAS_PRICE, MIN_COMBINATIONS, load_book
from tests.language.cues import PRICED, all_lines, cells, woven_lines


def faults(of: Cue, lines: list[str]) -> list[tuple[str, str]]:
    return [(fault, line) for line in lines if (fault := guard(line, of))]


@pytest.mark.parametrize("style", Style)
def test_every_line_of_every_cell_passes_the_guard(style: Style) -> None:
    for cell in cells(style):
        assert faults(cell, all_lines(cell)) == []
        for happening in set(Happening) - {Happening.NONE}:
            of = msgspec.structs.replace(cell, happening=happening)
            assert faults(of, woven_lines(of)) == []


@pytest.mark.parametrize("style", Style)
def test_every_line_works_without_item_counterpart_or_an_accepts_price(style: Style) -> None:
    for cell in cells(style):
        for item, other, price in product(
            {cell.item, ""},
            {cell.counterpart, ""},
            {cell.price_usdc_micros, -1} if cell.act is ActKind.ACCEPT else {cell.price_usdc_micros},
        ):
            of = msgspec.structs.replace(cell, item=item, counterpart=other, price_usdc_micros=price)
            assert faults(of, woven_lines(of)) == []


@pytest.mark.parametrize("style", Style)
def test_every_cell_has_sixty_distinct_lines_whichever_slots_are_filled(style: Style) -> None:
    for key, cell in load_book(style).items():
        for cores in filter(None, set(cell.cores)):
            lines = {"".join(parts) for parts in product(cell.openers, cores, cell.closers)}
            assert len(lines) == cell.total >= MIN_COMBINATIONS, key


@pytest.mark.parametrize("style", Style)
def test_unpriced_acts_word_both_roles_alike_and_speak_no_name_with_digits(style: Style) -> None:
    for cell in cells(style):
        if cell.price_usdc_micros >= 0:
            continue
        buyer = msgspec.structs.replace(cell, role=Role.BUYER)
        assert all_lines(buyer) == all_lines(cell)
        numbered = msgspec.structs.replace(cell, counterpart="Agent 47")
        nobody = msgspec.structs.replace(cell, counterpart="")
        assert all_lines(numbered) == all_lines(nobody)


@pytest.mark.parametrize("style", Style)
def test_the_moods_of_a_style_share_no_core_and_no_opener(style: Style) -> None:
    book = load_book(style)
    for act, role, (one, other) in product(ActKind, Role, combinations(Mood, 2)):
        first, second = (book[act, role, mood, Happening.NONE] for mood in (one, other))
        assert not set(first.cores[-1]) & set(second.cores[-1]), (act, role, one, other)
        assert set(first.openers) & set(second.openers) <= {""}, (one, other)


@pytest.mark.parametrize(("one", "other"), list(combinations(Style, 2)))
def test_no_style_speaks_like_another(one: Style, other: Style) -> None:
    for key, cell in load_book(one).items():
        twin = load_book(other)[key]
        assert set(cell.openers) & set(twin.openers) <= {""}, key
        assert not set(cell.cores[-1]) & set(twin.cores[-1]), key


@pytest.mark.parametrize("style", Style)
def test_roles_word_their_offers_and_counters_differently(style: Style) -> None:
    book = load_book(style)
    for act, mood in product((*PRICED, ActKind.ACCEPT), Mood):
        seller, buyer = (set(book[act, role, mood, Happening.NONE].cores[-1]) for role in Role)
        assert seller != buyer, (act, mood)


def test_only_the_casual_voice_uses_emoji_and_only_now_and_then() -> None:
    for style in Style:
        lines = [line for cell in cells(style) for line in all_lines(cell)]
        share = sum(not line.isascii() for line in lines) / len(lines)
        assert (0 < share < 0.1) if style is Style.CASUAL else share == 0, style


def test_offers_have_no_words_without_their_price() -> None:
    for key, cell in load_book(Style.FORMAL).items():
        assert [bool(cores) for cores in cell.cores[:HAS_PRICE]] == [key[0] not in PRICED] * HAS_PRICE
