"""The line files: one TOML file a style, read and checked once, turned into cells to draw from.

A line is opener + core + closer. The core says the act; opener and closer carry mood. A file holds

- `capitals`: whether a sentence starts with a capital letter; `drop_zero_cents`: `9,450 USDC`;
- `[openers]`: a list a mood ("" is no opener); `[happenings]`: a list a happening but `none`,
  which take the opener's place when something has happened;
- `[closers.<group>]`: `any` and a list a mood; the group of offer and counter is `trade`, that of
  any other act its own name;
- `[<act>]`, or `[<act>.seller]` and `[<act>.buyer]` for offer, counter, accept: cores by mood.

Only cores have slots. A part in [brackets] is dropped when a slot inside it has no value, or gives
way to the text after a bar, as in "[{item}|mine] is up at {price}". {item}, {counterpart} and an
accept's {price} stand only in brackets, so every core works without them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from math import gcd
from typing import NamedTuple, NoReturn

from agentrooms.domain.terms import ActKind, Mood, Role, Style
from agentrooms.errors import InvalidInput
from agentrooms.language.cue import MONEY_ACTS, PRICED_ACTS, Happening
from agentrooms.language.guard import (
    MAX_LINE_CHARS,
    MAX_NAME_CHARS,
    has_acceptance,
    has_number,
)

MIN_COMBINATIONS = 60
"""Fewest distinct lines of a cell: twice the 30 recent lines that may not be repeated."""

HAS_PRICE, HAS_ITEM, HAS_COUNTERPART = 4, 2, 1
"""Bits of the index into `Cell.cores`: which slots have a value."""

_SLOT_BITS = {"price": HAS_PRICE, "item": HAS_ITEM, "counterpart": HAS_COUNTERPART}
_MAX_PRICE_CHARS = 32
_SLOT_CHARS = {"price": _MAX_PRICE_CHARS, "item": MAX_NAME_CHARS, "counterpart": MAX_NAME_CHARS}
_SLOT = re.compile(r"\{([^{}]*)\}")
_PART = re.compile(r"\[([^\[\]]*)\]")


class Cell(NamedTuple):
    """All lines for one act, role, mood and happening of a style.

    `openers` and `closers` carry their own spacing. `cores[bits]` are the cores for the slots that
    have a value (empty when the act cannot do without the price). `total` is the number of
    combinations, `stride` a step prime to it that leaps far, so that neighbours differ a lot.
    `money`: prices and names with digits may be spoken.
    """

    openers: tuple[str, ...]
    cores: tuple[tuple[str, ...], ...]
    closers: tuple[str, ...]
    total: int
    stride: int
    short_price: bool
    money: bool


CellKey = tuple[ActKind, Role, Mood, Happening]
Book = dict[CellKey, Cell]


@cache
def load_book(style: Style) -> Book:
    """Return the checked book of `style`, read from the package once a process.

    Raises InvalidInput when the file is missing or breaks a rule of the format.
    """
    source = resources.files("agentrooms.language").joinpath("lines", f"{style.value}.toml")
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InvalidInput(
            f"style {style.value!r} has no line file",
            hint=f"add agentrooms/language/lines/{style.value}.toml",
        ) from error
    return parse_book(text, where=f"{style.value}.toml")


def parse_book(text: str, *, where: str) -> Book:
    """Turn the TOML `text` of a line file into a book; `where` names it in errors.

    Raises InvalidInput, naming the place, for anything the format in the module's head forbids:
    a missing or unknown table, an unknown slot, a number, an acceptance word outside accept, a
    line that could grow too long, fewer than `MIN_COMBINATIONS` distinct lines in a cell.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where}: not TOML: {error}") from error
    return _Reader(tables, where).book()


class _Reader:
    """Reads one file's tables; every method fails with the place of what it read."""

    def __init__(self, tables: Mapping[str, object], where: str) -> None:
        self._tables = tables
        self._where = where
        self._known: set[str] = set()
        self._capitals = self._flag("capitals")
        self._short_price = self._flag("drop_zero_cents")

    def book(self) -> Book:
        openers = {(mood, happening): self._openers(mood, happening) for mood in Mood for happening in Happening}
        cells: Book = {}
        for act in ActKind:
            for role in Role:
                for mood in Mood:
                    cores, closers = self._cores(act, role, mood), self._closers(act, mood)
                    for happening in Happening:
                        cells[act, role, mood, happening] = self._cell(
                            openers[mood, happening], cores, closers, act, f"{act}.{role}.{mood}"
                        )
        self._refuse_unknown(self._tables, "")
        return cells

    def _cell(
        self,
        openers: tuple[str, ...],
        cores: tuple[tuple[str, ...], ...],
        closers: tuple[str, ...],
        act: ActKind,
        place: str,
    ) -> Cell:
        total = len(openers) * len(cores[-1]) * len(closers)
        if total < MIN_COMBINATIONS:
            self._fail(place, f"{total} combinations, {MIN_COMBINATIONS} are needed")
        longest = _longest(openers) + _longest(cores[-1]) + _longest(closers)
        if longest > MAX_LINE_CHARS:
            self._fail(place, f"a line may reach {longest} characters, {MAX_LINE_CHARS} at most")
        return Cell(openers, cores, closers, total, _stride(total), self._short_price, act in MONEY_ACTS)

    def _openers(self, mood: Mood, happening: Happening) -> tuple[str, ...]:
        if happening is Happening.NONE:
            place = f"openers.{mood}"
        else:
            place = f"happenings.{happening}"
        return tuple(text and text + " " for text in self._plain(place))

    def _closers(self, act: ActKind, mood: Mood) -> tuple[str, ...]:
        group = "trade" if act in PRICED_ACTS else act.value
        places = (f"closers.{group}.any", f"closers.{group}.{mood}")
        accepting = act is ActKind.ACCEPT
        texts = [text for place in places for text in self._plain(place, accepting=accepting)]
        self._refuse_twins(texts, places[1])
        return tuple(text and " " + text for text in texts)

    def _plain(self, place: str, *, accepting: bool = False) -> list[str]:
        """Read a list of texts that stand beside any core of their acts, hence without slots."""
        texts = self._list(place)
        self._refuse_twins(texts, place)
        for text in texts:
            if any(map(text.__contains__, "{}[]|")):
                self._fail(place, f"slots and brackets belong into cores: {text!r}")
            self._check_words(place, text, accepting=accepting)
        return texts

    def _cores(self, act: ActKind, role: Role, mood: Mood) -> tuple[tuple[str, ...], ...]:
        place = f"{act}.{role}.{mood}" if act in MONEY_ACTS else f"{act}.{mood}"
        texts = self._list(place)
        for text in texts:
            self._check_core(place, text, act)
        variants: list[tuple[str, ...]] = []
        for bits in range(2 * HAS_PRICE):
            if act in PRICED_ACTS and not bits & HAS_PRICE:
                variants.append(())
                continue
            cores = [_expand(text, bits, capitals=self._capitals) for text in texts]
            self._refuse_twins(cores, place)
            variants.append(tuple(cores))
        return tuple(variants)

    def _check_core(self, place: str, text: str, act: ActKind) -> None:
        slots = _SLOT.findall(text)
        unknown = sorted(set(slots) - _SLOT_BITS.keys())
        if unknown:
            self._fail(place, f"unknown slot {{{unknown[0]}}} in {text!r}")
        if len(slots) != len(set(slots)):
            self._fail(place, f"a slot stands twice in {text!r}")
        outside = _PART.sub("", text)
        if any(map(_SLOT.sub("", outside).__contains__, "{}[]|")) or not outside.strip():
            self._fail(place, f"unbalanced brackets, or nothing outside them, in {text!r}")
        for part in _PART.findall(text):
            said, _, instead = part.partition("|")
            if not _SLOT.search(said) or _SLOT.search(instead) or "|" in instead:
                self._fail(place, f"a bracket is [words with a slot] or [these|words] in {text!r}")
        if _SLOT.findall(outside) != (["price"] if act in PRICED_ACTS else []):
            self._fail(
                place,
                f"outside brackets stands {{price}} once (offer, counter) or no slot: {text!r}",
            )
        if "price" in slots and act not in MONEY_ACTS:
            self._fail(place, f"this act has no price: {text!r}")
        self._check_words(place, text, accepting=act is ActKind.ACCEPT)

    def _check_words(self, place: str, text: str, *, accepting: bool) -> None:
        if has_number(text):
            self._fail(place, f"a number in {text!r}")
        if not accepting and has_acceptance(text):
            self._fail(place, f"an acceptance word in {text!r}")
        if text != text.strip():
            self._fail(place, f"blanks around {text!r}")

    def _refuse_twins(self, texts: list[str], place: str) -> None:
        twins = sorted({text for text in texts if texts.count(text) > 1})
        if twins:
            self._fail(place, f"stands twice (or does so when brackets are dropped): {twins[0]!r}")

    def _refuse_unknown(self, tables: Mapping[str, object], prefix: str) -> None:
        """Catch misspelt keys, which would otherwise silently do nothing."""
        for key, value in tables.items():
            place = prefix + key
            if isinstance(value, dict):
                self._refuse_unknown(value, place + ".")
            elif place not in self._known:
                self._fail(place, "unknown key")

    def _list(self, place: str) -> list[str]:
        value = self._get(place)
        if not isinstance(value, list) or not value:
            self._fail(place, "must be a list of texts, not empty")
        if not all(isinstance(text, str) for text in value):
            self._fail(place, "holds something that is no text")
        return value

    def _flag(self, place: str) -> bool:
        value = self._get(place)
        if not isinstance(value, bool):
            self._fail(place, "must be true or false")
        return value

    def _get(self, place: str) -> object:
        value: object = self._tables
        for key in place.split("."):
            if not isinstance(value, Mapping) or key not in value:
                self._fail(place, "is missing")
            value = value[key]
        self._known.add(place)
        return value

    def _fail(self, place: str, fault: str) -> NoReturn:
        raise InvalidInput(
            f"{self._where}: {place}: {fault}",
            hint="the head of agentrooms/language/linebook.py describes the format",
        )


def _expand(core: str, bits: int, *, capitals: bool) -> str:
    """Resolve the brackets: keep the words whose slots all have a value under `bits`."""

    def keep(part: re.Match[str]) -> str:
        said, _, instead = part[1].partition("|")
        return said if all(bits & _SLOT_BITS[slot] for slot in _SLOT.findall(said)) else instead

    text = _PART.sub(keep, core)
    return text[:1].upper() + text[1:] if capitals else text


def _longest(texts: tuple[str, ...]) -> int:
    """Return the length of the longest text once its slots hold the longest values allowed."""
    return max(len(_SLOT.sub("", text)) + sum(_SLOT_CHARS[slot] for slot in _SLOT.findall(text)) for text in texts)


def _stride(total: int) -> int:
    """Return a step prime to `total` near its golden section: it visits all, neighbours far apart."""
    step = total * 618 // 1000
    while gcd(step, total) != 1:
        step += 1
    return step
