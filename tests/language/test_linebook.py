"""A line file that breaks the format is refused with its place and reason."""

from __future__ import annotations

from importlib import resources

import pytest

from agentrooms.domain.terms import Style
from agentrooms.errors import InvalidInput
from agentrooms.language import linebook
from agentrooms.language.linebook import load_book, parse_book

FORMAL = resources.files("agentrooms.language").joinpath("lines", "formal.toml").read_text(encoding="utf-8")
DECLINE = '"I refuse such a quote outright."'
ASK = '"My asking price[ for {item}] is {price}."'
AGREE = '"I agree[ to {price}][ for {item}]."'


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("capitals = true", "capitals", "not TOML"),
        ("capitals = true", "", "capitals: is missing"),
        ("capitals = true", 'capitals = "yes"', "capitals: must be true or false"),
        ("capitals = true", "capitals = true\ncapital = true", "capital: unknown key"),
        ("[openers]", "[opener]", "openers.calm: is missing"),
        ("[happenings]", "[happenings]\nrain = ['It rains.']", "happenings.rain: unknown key"),
        ("[leave]\ncalm", "[leave]\ncool", "leave.calm: is missing"),
        ("[offer.buyer]", "[offer.client]", "offer.buyer.calm: is missing"),
        ('any = ["", "Farewell."]', "any = []", "closers.leave.any: must be a list of texts"),
        ('any = ["", "Farewell."]', 'any = ["", 7]', "closers.leave.any: holds something that is no text"),
        ('any = ["", "Farewell."]', 'any = ["", "Bye, {item}."]', "slots and brackets belong into cores"),
        ('any = ["", "Farewell."]', 'any = ["", "Deal."]', "an acceptance word in 'Deal.'"),
        ('any = ["", "Farewell."]', 'any = ["", "Bye. "]', "blanks around 'Bye. '"),
        ('any = ["", "Farewell."]', 'any = ["", ""]', "stands twice"),
        ('any = ["", "Farewell."]', 'any = ["", "Until another day."]', "closers.leave.calm: stands twice"),
        (DECLINE, '"I refuse {this}."', "reject.annoyed: unknown slot {this}"),
        (DECLINE, '"I refuse {counterpart}."', "outside brackets stands"),
        (DECLINE, '"I refuse[, {counterpart}]. Truly[, {counterpart}]."', "a slot stands twice"),
        (DECLINE, '"I refuse[, {counterpart}."', "unbalanced brackets"),
        (DECLINE, '"[{counterpart}]"', "nothing outside them"),
        (DECLINE, '"I refuse[, friend]."', "a bracket is"),
        (DECLINE, '"I refuse[, {counterpart}|, you|, him]."', "a bracket is"),
        (DECLINE, '"I refuse[ {price}]."', "this act has no price"),
        (DECLINE, '"I refuse it twenty times."', "a number in"),
        (DECLINE, '"I can not accept."', "an acceptance word in"),
        (DECLINE, '"No, and I had thought it obvious[, {counterpart}]."', "reject.annoyed: stands twice"),
        (DECLINE, '"No[, {counterpart}], and I had thought it obvious."', "when brackets are dropped"),
        (DECLINE, f'"{"no " * 80}no"', "a line may reach"),
        (ASK, '"My price is high."', "offer.seller.calm: outside brackets stands {price} once"),
        (ASK, '"My price is[ {price}]."', "outside brackets stands {price} once"),
        (AGREE, '"I agree to {price}."', "accept.seller.calm: outside brackets"),
    ],
)
def test_a_fault_is_named(old: str, new: str, fault: str) -> None:
    assert old in FORMAL
    with pytest.raises(InvalidInput) as raised:
        parse_book(FORMAL.replace(old, new, 1), where="x.toml")
    assert str(raised.value).startswith("x.toml: ")
    assert fault in str(raised.value)


def test_too_few_combinations_are_refused() -> None:
    start, end = FORMAL.index("[reject]"), FORMAL.index("[comment]")
    one_each = "[reject]\n" + "".join(
        f'{mood} = ["No, says {mood}."]\n' for mood in ("calm", "keen", "annoyed", "desperate", "pleased")
    )
    with pytest.raises(InvalidInput, match=r"reject.buyer.calm: 35 combinations, 60 are needed"):
        parse_book(FORMAL[:start] + one_each + FORMAL[end:], where="x.toml")


def test_brackets_are_dropped_or_replaced_and_the_sentence_still_starts_well() -> None:
    core = "[{counterpart}, ]my ask[ for {item}|, as said,] is {price}."
    assert [linebook._expand(core, bits, capitals=True) for bits in (4, 5, 6, 7)] == [
        "My ask, as said, is {price}.",
        "{counterpart}, my ask, as said, is {price}.",
        "My ask for {item} is {price}.",
        "{counterpart}, my ask for {item} is {price}.",
    ]
    assert linebook._expand(core, 4, capitals=False).startswith("my ask")


def test_a_style_without_a_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(InvalidInput, match="style 'casual' has no line file"):
        load_book.__wrapped__(Style.CASUAL)


def test_books_are_read_once() -> None:
    assert load_book(Style.FORMAL) is load_book(Style.FORMAL)
