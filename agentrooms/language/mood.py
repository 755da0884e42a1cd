"""How an agent feels: a pure function of counted events, in integers, so that runs re-execute."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentrooms.domain.terms import Mood


class Counts(msgspec.Struct, frozen=True):
    """What has happened to one agent so far, in whole numbers.

    `refusals`: times own quotes were rejected; `refusals_in_row`: those since the last good news.
    `undercuts`: times a rival took the lead over the own standing quote (outbid, for buyers).
    `concessions_received`: times a counterparty moved towards us.
    `elapsed_permille`: share of the mandate's life that has passed, 0..1000.
    `lost_deals`: own deals that failed.
    `gap_permille`: own quote to best opposing quote, in permille of the own; -1 unknown.
    `agreed`: 1 when the act is an accept or an own deal is locked, else 0.
    """

    refusals: int = 0
    refusals_in_row: int = 0
    undercuts: int = 0
    concessions_received: int = 0
    elapsed_permille: int = 0
    lost_deals: int = 0
    gap_permille: int = -1
    agreed: int = 0


def _gap_within(counts: Counts, permille: int) -> bool:
    return 0 <= counts.gap_permille <= permille


_RULES: tuple[tuple[Mood, Callable[[Counts], bool]], ...] = (
    (Mood.PLEASED, lambda c: c.agreed > 0),
    (Mood.PLEASED, lambda c: c.concessions_received >= 2 and _gap_within(c, 60)),
    (Mood.DESPERATE, lambda c: c.elapsed_permille >= 850),
    (Mood.DESPERATE, lambda c: c.elapsed_permille >= 650 and (c.lost_deals > 0 or c.refusals >= 6)),
    (Mood.ANNOYED, lambda c: c.refusals_in_row >= 3),
    (Mood.ANNOYED, lambda c: c.lost_deals >= 2),
    # Concessions soothe: a rival's pressure weighs less while somebody moves towards us.
    (Mood.ANNOYED, lambda c: c.undercuts >= 4 + c.concessions_received),
    (Mood.KEEN, lambda c: _gap_within(c, 100)),
    (Mood.KEEN, lambda c: c.concessions_received > 0 and _gap_within(c, 250)),
)


def mood_of(counts: Counts) -> Mood:
    """Return the mood that `counts` give; the first row that holds wins.

    | # | holds when                                                       | mood      |
    |---|------------------------------------------------------------------|-----------|
    | 1 | agreed                                                           | pleased   |
    | 2 | two concessions received, gap known and at most 60 permille      | pleased   |
    | 3 | 850 permille of the mandate's life gone                          | desperate |
    | 4 | 650 permille gone, and a lost deal or six refusals               | desperate |
    | 5 | three refusals in a row                                          | annoyed   |
    | 6 | two lost deals                                                   | annoyed   |
    | 7 | undercuts exceed concessions received by four                    | annoyed   |
    | 8 | gap known and at most 100 permille                               | keen      |
    | 9 | a concession received, gap known and at most 250 permille        | keen      |
    | – | otherwise                                                        | calm      |
    """
    for mood, holds in _RULES:
        if holds(counts):
            return mood
    return Mood.CALM
