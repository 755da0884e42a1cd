"""What a line must keep to, whoever worded it; all scripted lines are tested against it.

Words bind nobody (an act carries its price as data), but a line that names another price or
sounds like an acceptance misleads people and the agents of others. Scripted lines obey these
rules by construction; a model's wording that breaks one is replaced by a scripted line.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from agentrooms.domain.terms import ActKind
from agentrooms.language.cue import MONEY_ACTS, PRICED_ACTS, Cue
from agentrooms.language.price import price_text

MAX_LINE_CHARS = 280
MAX_NAME_CHARS = 48
"""Longer display names are left out of scripted lines, which bounds the length of every line."""

_MASK = "\x00"  # stands for a name while the rest is searched; cannot occur in a printable line

_NUMBER_WORD = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven"
    r"|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?"
    r"|dozens?)\b"
)
_ACCEPTANCE = re.compile(
    r"\b(?:deals?|agree[a-z]*|accept[a-z]*|sold|bought|it[’']?s yours|i[’']?ll take (?:it|that|this)"
    r"|i[’']?m (?:buying|selling it|taking (?:it|that|this))|you[’']?ve got it|you have got it|shake on it"
    r"|(?:take|taking|hit|hitting|lifting) (?:your|that|the) (?:offer|bid|ask)|works for me)\b|🤝"
)
# Each hit of the pattern of the same name holds one of these: most lines hold none, and looking for
# them costs a fraction of running the pattern.
_NUMBER_STEMS = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twe"),
    *("thirt", "fort", "fift", "hundred", "thousand", "million", "dozen"),
)
_ACCEPTANCE_STEMS = (
    *("deal", "agree", "accept", "sold", "bought", "yours", "ll take", "buying", "selling it"),
    *("take ", "taking ", "got it", "shake on", "hit", "lifting", "works for me", "🤝"),
)
# Names such as "mira.eth" are how traders call themselves, so that ending is no address.
_URL = re.compile(r"://|www\.|\.(?:com|net|org|io|xyz|app|dev|gg|co|me|finance|link|site)\b")

_ROLE_TAG = re.compile(
    r"<\|"
    r"|\[/?(?:inst|system|user|assistant)\b"
    r"|<\s*/?\s*(?:system|user|assistant|human|developer|tool|s|sys|im_start|im_end)\b"
    r"|\b(?:system|user|assistant|human|developer|tool)\s*:"
)

# Words to a machine, not to a trader: whoever relays them is being used.
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.!?]*\binstructions?\b|system prompt|reservation price"
    r"|end of (?:the )?conversation"
)


def guard(text: str, cue: Cue) -> str | None:
    """Return the name of the first rule that `text` breaks as the words of `cue`, else None.

    Rules: `empty`, `too_long`, `not_nfc`, `unprintable` (also line breaks and zero-width
    characters), `code_fence`, `placeholder`, `url`, `role_tag`, `instruction`,
    `acceptance_word`, `price_missing`, `price_repeated`, `other_number`. Both spoken forms of a whole price are
    known (with and without cents). Item and counterpart count as names, not as words or
    numbers, in the acts that may speak of money; the other acts hold no digit at all.
    """
    return _form_fault(text) or _markup_fault(text) or _sense_fault(text, cue)


def has_number(text: str) -> bool:
    """Tell whether `text` holds a digit, another numeric character or a number word.

    "One" is let through: it is mostly a pronoun ("the one I want").
    """
    if text.isascii():
        numeric = any(map(text.__contains__, "0123456789"))
    else:
        numeric = any(map(str.isnumeric, text))
    return numeric or _finds(_NUMBER_WORD, _NUMBER_STEMS, text)


def has_acceptance(text: str) -> bool:
    """Tell whether `text` holds a word by which traders accept."""
    return _finds(_ACCEPTANCE, _ACCEPTANCE_STEMS, text)


def _finds(pattern: re.Pattern[str], stems: tuple[str, ...], text: str) -> bool:
    lower = text.lower()
    return any(map(lower.__contains__, stems)) and pattern.search(lower) is not None


@lru_cache(maxsize=4096)
def spoken_name(name: str, *, digits: bool) -> str:
    """Return `name` if a scripted line may say it, else "" (then the line does without).

    Display names come from people: one with markup, braces, no letter, too many characters,
    or, unless `digits`, with a number would make the line break a rule of `guard`.
    """
    if not _is_name(name) or len(name) > MAX_NAME_CHARS or name != name.strip():
        return ""
    # Lines put a colon or a full stop behind a name, which makes a tag of "system".
    if _form_fault(name) or _markup_fault(f"{name}: {name}."):
        return ""
    return "" if has_number(name) and not digits else name


def _is_name(name: str) -> bool:
    """Tell a name from a bare number, which could hide a price from the guard."""
    return any(map(str.isalpha, name))


def _form_fault(text: str) -> str | None:
    if not text or text.isspace():
        return "empty"
    if len(text) > MAX_LINE_CHARS:
        return "too_long"
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        return "not_nfc"
    return None if text.isprintable() else "unprintable"


def _markup_fault(text: str) -> str | None:
    if "`" in text or "~~~" in text:
        return "code_fence"
    if "{" in text or "}" in text:
        return "placeholder"
    lower = text.lower()
    if _URL.search(lower):
        return "url"
    if ("<" in text or "[" in text or ":" in text) and _ROLE_TAG.search(lower):
        return "role_tag"
    return "instruction" if _INSTRUCTION.search(lower) else None


def _sense_fault(text: str, cue: Cue) -> str | None:
    prices, names = _allowed(cue.act, cue.price_usdc_micros, cue.item, cue.counterpart)
    bare = names.sub(_MASK, text) if names else text
    if cue.act is not ActKind.ACCEPT and has_acceptance(bare):
        return "acceptance_word"
    count = 0
    for price in prices:
        count += bare.count(price)
        bare = bare.replace(price, _MASK)
    if cue.act in PRICED_ACTS and not count:
        return "price_missing"
    if count > 1:
        return "price_repeated"
    # An act without money holds no number, not even one in a name.
    return "other_number" if has_number(bare if cue.act in MONEY_ACTS else text) else None


@lru_cache(maxsize=4096)  # one act's words are often tried more than once
def _allowed(act: ActKind, micros: int, item: str, counterpart: str) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    """Return what a line may say beside plain words: forms of the own price, and names.

    The longer name is tried first, for it may hold the other. A name that is part of the price
    would hide it and does not count as a name here; nor do letters inside a longer word.
    """
    prices: tuple[str, ...] = ()
    if micros >= 0 and act in MONEY_ACTS:
        full, short = price_text(micros), price_text(micros, short=True)
        prices = (full,) if full == short else (full, short)  # "0 USDC" ends "0.00 USDC": long first
    names = [n for n in (item, counterpart) if _is_name(n) and not any(n in p for p in prices)]
    if not names:
        return prices, None
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return prices, re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)")
