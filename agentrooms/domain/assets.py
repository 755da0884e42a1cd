"""Items, what a buyer wants, and which items are comparable.

Comparable items share one grade: the value of the trait that the collection names in `comparable_by`.
Only comparable items enter a floor, a top bid and the overpay rule.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from agentrooms.domain.eip712 import WORD_MAX
from agentrooms.errors import InvalidInput

ANY_GRADE = ""  # the grade of a bid for any item, and of all items of a collection without a grading trait
_TOKEN = re.compile(r"0|[1-9][0-9]{0,77}")


def is_token_id(text: str) -> bool:
    """Tells whether a text is the number of a token, in its one decimal spelling."""
    return _TOKEN.fullmatch(text) is not None and int(text) <= WORD_MAX


def token_number(text: str) -> int:
    """Returns the number of a token. Raises InvalidInput for what is none."""
    if not is_token_id(text):
        raise InvalidInput(f"not a token id: {text[:80]!a}", hint="a decimal number below 2**256")
    return int(text)


class Item(msgspec.Struct, frozen=True):
    """One NFT of the room's collection."""

    token_id: str
    name: str
    traits: dict[str, str]

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts in it."""
        return self.token_id, self.name, *self.traits, *self.traits.values()

    def grade(self, comparable_by: str) -> str:
        """Returns the item's class of comparable items."""
        return self.traits.get(comparable_by, ANY_GRADE)


class WantKind(StrEnum):
    """How a buyer says what it wants."""

    ANY = "any"
    ITEMS = "items"
    TRAITS = "traits"


class Wants(msgspec.Struct, frozen=True):
    """What a buyer's mandate accepts: any item, listed token ids, or items that have all given traits."""

    kind: WantKind = WantKind.ANY
    token_ids: tuple[str, ...] = ()
    traits: dict[str, str] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts in it."""
        return *self.token_ids, *self.traits, *self.traits.values()

    @property
    def empty(self) -> bool:
        """Whether it promises a list of items or traits and names none."""
        named = {WantKind.ANY: True, WantKind.ITEMS: bool(self.token_ids), WantKind.TRAITS: bool(self.traits)}
        return not named[self.kind]

    def covers(self, item: Item) -> bool:
        """Tells whether the item is wanted."""
        if self.kind is WantKind.ANY:
            return True
        if self.kind is WantKind.ITEMS:
            return item.token_id in self.token_ids
        return all(item.traits.get(name) == value for name, value in self.traits.items())

    def grade(self, comparable_by: str) -> str:
        """Returns the grade a bid for these wants stands in: that of the wanted trait, else any."""
        return self.traits.get(comparable_by, ANY_GRADE) if self.kind is WantKind.TRAITS else ANY_GRADE
