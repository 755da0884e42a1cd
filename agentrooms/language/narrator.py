"""The scripted narrator: words for any act at once, offline, never the same twice in a while."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import cached_property

from agentrooms.domain.terms import ActKind, Mood, Role, Style
from agentrooms.errors import InvalidInput
from agentrooms.language.cue import Cue, Happening, Wording
from agentrooms.language.guard import spoken_name
from agentrooms.language.linebook import (
    HAS_COUNTERPART,
    HAS_ITEM,
    HAS_PRICE,
    Cell,
    load_book,
)
from agentrooms.language.price import price_text

__all__ = ["Cue", "Happening", "ScriptedNarrator", "Wording"]


class ScriptedNarrator:
    """Composes lines from the line files of the styles; stateless, safe to share.

    The files are read at the first line, since most processes never say one; InvalidInput then, when one is missing
    or broken.
    """

    @cached_property
    def _cells(self) -> dict[tuple[Style, ActKind, Role, Mood, Happening], Cell]:
        """One flat table: a line costs a single look-up."""
        return {(style, *key): cell for style in Style for key, cell in load_book(style).items()}

    def word(self, cue: Cue, pick: Callable[[int], int], recent: Container[str]) -> str:
        """Return a line for `cue` that is not in `recent`; see `Wording`.

        Calls `pick` once. A cell has at least 60 lines, so a `recent` of 30 always leaves some;
        should a caller's `recent` hold them all, the line drawn is repeated. Raises InvalidInput
        for an offer or counter without a price.
        """
        cell = self._cells[cue.style, cue.act, cue.role, cue.mood, cue.happening]
        item = spoken_name(cue.item, digits=cell.money) if cue.item else ""
        other = spoken_name(cue.counterpart, digits=cell.money) if cue.counterpart else ""
        price = ""
        if cell.money and cue.price_usdc_micros >= 0:
            price = price_text(cue.price_usdc_micros, short=cell.short_price)
        bits = (HAS_PRICE if price else 0) | (HAS_ITEM if item else 0)
        cores = cell.cores[bits | (HAS_COUNTERPART if other else 0)]
        if not cores:
            raise InvalidInput(
                f"an act {cue.act.value!r} cannot be worded without a price",
                hint="give price_usdc_micros, not negative",
            )
        at = pick(cell.total)
        text = ""
        for _ in range(cell.total):
            rest, closer = divmod(at, len(cell.closers))
            opener, core = divmod(rest, len(cores))
            text = (
                cell.openers[opener]
                # The price goes first: names are spoken only without braces, a price has none.
                + cores[core].replace("{price}", price).replace("{item}", item).replace("{counterpart}", other)
                + cell.closers[closer]
            )
            if text not in recent:
                break
            at = (at + cell.stride) % cell.total
        return text
