"""The mood table, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.terms import Mood
from agentrooms.language import Counts, mood_of


@pytest.mark.parametrize(
    ("counts", "mood"),
    [
        (Counts(), Mood.CALM),
        (Counts(agreed=1), Mood.PLEASED),
        (Counts(agreed=1, elapsed_permille=1000, refusals_in_row=9), Mood.PLEASED),
        (Counts(concessions_received=2, gap_permille=60), Mood.PLEASED),
        (Counts(concessions_received=2, gap_permille=0, elapsed_permille=990), Mood.PLEASED),
        (Counts(concessions_received=2, gap_permille=61), Mood.KEEN),
        (Counts(concessions_received=2, gap_permille=-1), Mood.CALM),
        (Counts(elapsed_permille=849), Mood.CALM),
        (Counts(elapsed_permille=850), Mood.DESPERATE),
        (Counts(elapsed_permille=850, refusals_in_row=3), Mood.DESPERATE),
        (Counts(elapsed_permille=650, lost_deals=1), Mood.DESPERATE),
        (Counts(elapsed_permille=650, refusals=6), Mood.DESPERATE),
        (Counts(elapsed_permille=650, refusals=5), Mood.CALM),
        (Counts(elapsed_permille=649, lost_deals=1), Mood.CALM),
        (Counts(refusals=3, refusals_in_row=3), Mood.ANNOYED),
        (Counts(refusals=3, refusals_in_row=2), Mood.CALM),
        (Counts(lost_deals=2), Mood.ANNOYED),
        (Counts(undercuts=4), Mood.ANNOYED),
        (Counts(undercuts=4, concessions_received=1), Mood.CALM),
        (Counts(undercuts=5, concessions_received=1), Mood.ANNOYED),
        (Counts(refusals_in_row=3, gap_permille=10), Mood.ANNOYED),
        (Counts(gap_permille=100), Mood.KEEN),
        (Counts(gap_permille=101), Mood.CALM),
        (Counts(gap_permille=250, concessions_received=1), Mood.KEEN),
        (Counts(gap_permille=251, concessions_received=1), Mood.CALM),
    ],
)
def test_the_first_row_that_holds_wins(counts: Counts, mood: Mood) -> None:
    assert mood_of(counts) is mood


@given(st.builds(Counts, **dict.fromkeys(Counts.__struct_fields__, st.integers())))
def test_any_counts_have_a_mood(counts: Counts) -> None:
    assert mood_of(counts) in Mood
    assert mood_of(counts) is mood_of(counts)
