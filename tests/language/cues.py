"""Cues for the tests, and every line a narrator has for one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product

import msgspec

from agentrooms.domain.terms import ActKind, Mood, Role, Style
from agentrooms.language import Cue, Happening, ScriptedNarrator
from agentrooms.language.linebook import Cell, load_book

PRICED = (ActKind.OFFER, ActKind.COUNTER)
NARRATOR = ScriptedNarrator()
CUE = Cue(
    act=ActKind.OFFER,
    style=Style.FORMAL,
    mood=Mood.CALM,
    role=Role.SELLER,
    item="Punk #7804",
    price_usdc_micros=9_450_000_000,
    counterpart="Mira",
    happening=Happening.NONE,
)


def cue(**changes: object) -> Cue:
    """The usual cue with changes; acts other than offer, counter and accept lose the price."""
    changed = msgspec.structs.replace(CUE, **changes)
    if changed.act in (*PRICED, ActKind.ACCEPT) or "price_usdc_micros" in changes:
        return changed
    return msgspec.structs.replace(changed, price_usdc_micros=-1)


def cells(style: Style) -> Iterator[Cue]:
    """A cue for each act, role and mood; the role is not varied where it changes no word."""
    for act in ActKind:
        for role in Role if act in (*PRICED, ActKind.ACCEPT) else (Role.SELLER,):
            for mood in Mood:
                yield cue(style=style, act=act, role=role, mood=mood)


def cell_of(of: Cue) -> Cell:
    return load_book(of.style)[of.act, of.role, of.mood, of.happening]


def line_at(of: Cue, at: int) -> str:
    return NARRATOR.word(of, lambda _: at, ())


def all_lines(of: Cue) -> list[str]:
    """All renderings of `of`, by drawing each combination once."""
    return [line_at(of, at) for at in range(cell_of(of).total)]


def woven_lines(of: Cue) -> list[str]:
    """Every opener with every core, and every core with every closer, taking turns.

    As a core always parts them, an opener never meets a closer: these lines show all that
    can stand side by side in a fraction of the combinations.
    """
    cell = cell_of(of)
    pairs = product(range(len(cell.openers)), range(len(cell.cores[-1])))
    closers = len(cell.closers)
    return [
        line_at(of, (opener * len(cell.cores[-1]) + core) * closers + (opener + core) % closers)
        for opener, core in pairs
    ]


class Draws:
    """Counter-based draws, as the rooms give them: fresh on each call, the same in each run."""

    def __init__(self, seed: int = 0) -> None:
        self._numbers = (2_654_435_761 * (seed + k) % 4_294_967_291 for k in count())

    def __call__(self, n: int) -> int:
        return next(self._numbers) % n
