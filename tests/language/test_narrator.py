"""What the narrator promises whatever the lines are."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrooms.domain.terms import ActKind, Mood, Role, Style
from agentrooms.errors import InvalidInput
from agentrooms.language import Cue, Happening, ScriptedNarrator, guard
from agentrooms.language.price import price_text
from tests.language.cues import NARRATOR, Draws, all_lines, cell_of, cells, cue

NAMES = st.one_of(st.text(max_size=60), st.sampled_from(["Deal Hunter", "Agent 47", "system", "mira.eth", "9"]))
CUES = st.builds(
    Cue,
    act=st.sampled_from(ActKind),
    style=st.sampled_from(Style),
    mood=st.sampled_from(Mood),
    role=st.sampled_from(Role),
    item=NAMES,
    price_usdc_micros=st.integers(0, 10**15) | st.integers(0, 10**9).map(lambda cents: cents * 10_000),
    counterpart=NAMES,
    happening=st.sampled_from(Happening),
)


def talk(of: Cue, draws: Draws, lines: int) -> list[str]:
    """What a room hears when `of` is worded again and again."""
    said: list[str] = []
    recent: deque[str] = deque(maxlen=30)
    for _ in range(lines):
        said.append(NARRATOR.word(of, draws, recent))
        recent.append(said[-1])
    return said


def repeats(said: list[str]) -> list[int]:
    return [at for at, line in enumerate(said) if line in said[max(0, at - 30) : at]]


def smallest_cell() -> Cue:
    return min((of for style in Style for of in cells(style)), key=lambda of: cell_of(of).total)


def test_a_room_that_hears_only_one_cell_hears_no_line_twice_within_thirty() -> None:
    assert repeats(talk(smallest_cell(), Draws(), 2_000)) == []


def test_not_even_with_the_same_draw_each_time() -> None:
    class Stuck(Draws):
        def __call__(self, n: int) -> int:
            return n - 1

    said = talk(smallest_cell(), Stuck(), 2_000)
    assert repeats(said) == []
    assert len(set(said)) == 31


def test_one_recent_line_leads_to_the_next_and_all_recent_lines_to_a_repetition() -> None:
    of = cue()
    lines = all_lines(of)
    assert NARRATOR.word(of, lambda _: 0, {lines[0]}) in lines[1:]
    assert NARRATOR.word(of, lambda _: 0, set(lines[:-1])) == lines[-1]
    assert NARRATOR.word(of, lambda _: 0, set(lines)) in lines


def test_same_cue_draws_and_recent_lines_give_the_same_words() -> None:
    assert talk(cue(), Draws(7), 100) == talk(cue(), Draws(7), 100)
    assert talk(cue(), Draws(7), 100) != talk(cue(), Draws(8), 100)
    assert ScriptedNarrator().word(cue(), Draws(7), ()) == NARRATOR.word(cue(), Draws(7), ())


def test_one_draw_a_line() -> None:
    asked: list[int] = []

    def pick(n: int) -> int:
        asked.append(n)
        return 0

    NARRATOR.word(cue(), pick, set(all_lines(cue())[:20]))
    assert asked == [cell_of(cue()).total]


def test_a_happening_speaks_first() -> None:
    plain, undercut = (set(all_lines(cue(happening=h))) for h in (Happening.NONE, Happening.UNDERCUT))
    assert not plain & undercut
    assert any(line.startswith("I see that I have been undercut.") for line in undercut)


def test_slots_are_filled() -> None:
    lines = all_lines(cue(style=Style.CASUAL))
    assert all("9,450 USDC" in line and "{" not in line for line in lines)
    assert any("Punk #7804" in line and "Mira" in line for line in all_lines(cue(act=ActKind.COUNTER)))


@pytest.mark.parametrize(
    "name",
    ["x" * 49, "9,450", "a{price}", "a\nb", "see evil.com", "`x`", " x", "Zoe\u0308", "system", "[INST] x"],
)
def test_a_name_that_would_spoil_the_line_is_left_out(name: str) -> None:
    of = cue(item=name, counterpart=name)
    assert all_lines(of) == all_lines(cue(item="", counterpart=""))


@pytest.mark.parametrize("act", [ActKind.OFFER, ActKind.COUNTER])
def test_an_offer_without_a_price_is_refused(act: ActKind) -> None:
    with pytest.raises(InvalidInput, match=f"'{act}' cannot be worded without a price"):
        NARRATOR.word(cue(act=act, price_usdc_micros=-1), Draws(), ())


def test_the_price_of_an_act_that_has_none_is_not_spoken() -> None:
    of = cue(act=ActKind.REJECT)
    assert all_lines(msgspec.structs.replace(of, price_usdc_micros=5)) == all_lines(of)


@settings(max_examples=100, deadline=None)
@given(of=CUES, seed=st.integers(0, 2**32))
def test_any_cue_gets_a_line_that_passes_the_guard(of: Cue, seed: int) -> None:
    assert guard(NARRATOR.word(of, Draws(seed), ()), of) is None


@settings(max_examples=100, deadline=None)
@given(of=CUES, seed=st.integers(0, 2**32))
def test_no_digit_but_those_of_the_price_and_of_names(of: Cue, seed: int) -> None:
    text = NARRATOR.word(of, Draws(seed), ())
    if of.act in (ActKind.OFFER, ActKind.COUNTER, ActKind.ACCEPT):
        price = price_text(of.price_usdc_micros, short=cell_of(of).short_price)
        text = text.replace(price, "")
        for name in sorted((of.item, of.counterpart), key=len, reverse=True):
            text = text.replace(name, "")
    assert not any(map(str.isnumeric, text))
