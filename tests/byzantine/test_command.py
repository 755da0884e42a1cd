"""`agentrooms verifiers demo` shows what happened, in numbers that agree, at any width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentrooms.chaos.faults import Fault
from agentrooms.chaos.hearing import draw_faults, hear
from agentrooms.cli.console import out
from tests.cli.commands import agentrooms, document, environment, said

DEMO = ("verifiers", "demo", "--seed", 7)


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The width of the screen."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    out.cache_clear()
    yield request.param
    out.cache_clear()


def shown(*arguments: str | int) -> str:
    return said(*DEMO, *arguments)[0]


@pytest.mark.parametrize("fault", Fault)
def test_the_document_agrees_with_itself_for_every_fault(fault: Fault) -> None:
    """Two of each kind: the deal completes, counted votes make the tally, nobody honest is accused."""
    told = document(*DEMO, "--faulty", 2, "--kind", fault)
    faulty = {v["verifier"] for v in told["verifiers"] if v["fault"] is not None}
    assert len(faulty) == 2
    assert {v["fault"] for v in told["verifiers"] if v["fault"] is not None} == {fault}
    counted = [vote["vote"]["decision"] for vote in told["votes"] if vote["counted"]]
    assert told["tally"] == {
        "approve": counted.count("approve"),
        "reject": counted.count("reject"),
        "missing": 7 - len(counted),
        "quorum": 5,
        "of": 7,
    }
    assert [len(vote["why"]) > 0 for vote in told["votes"]] == [not vote["counted"] for vote in told["votes"]]
    assert (told["deal"]["state"], told["executed"], told["certificate_proved"]) == ("completed", True, True)
    assert sorted({evidence["verifier"] for evidence in told["evidence"]}) == told["accused_in_log"]
    assert set(told["accused_in_log"]) <= faulty


def test_votes_are_shown_one_by_one_with_their_reasons(width: int) -> None:
    """Who, what, against what, signed, counted or not; nothing is wider than the screen."""
    text = shown("--faulty", 2, "--kind", "two_faced", "--kind", "silent")
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert text.count("contradicts") == 1
    assert "no answer" in text
    assert "approve by 6, 5 of them honest; set 1; checks out" in text
    assert "equivocation" in text
    assert "nobody honest" in text
    assert ("honest " in "".join(line for line in lines if line.strip().startswith("0.0 s"))) == (width == 120)


def test_without_faulty_ones_all_seven_approve(width: int) -> None:
    text = shown("--faulty", 0)
    assert "7 approve, 0 reject, 0 without" in text
    assert "Faulty" not in text


def test_three_silent_ones_prevent_a_decision_and_it_says_so() -> None:
    told = document(*DEMO, "--faulty", 3, "--kind", "silent")
    assert (told["certificate"], told["executed"]) == (None, False)
    assert (told["deal"]["state"], told["deal"]["fail_reason"]) == ("failed", "expired")
    assert "there is no decision: nothing moves" in " ".join(shown("--faulty", 3, "--kind", "silent").split())


@pytest.mark.parametrize("number", range(8))
def test_colluders_break_it_from_five_on_and_it_says_so(number: int) -> None:
    """Before that the deal is rejected, or not decided; nothing moves in any case."""
    told = document(*DEMO, "--faulty", number, "--colluding")
    decision = told["certificate"]["decision"] if told["certificate"] else None
    assert decision == ("approve" if number >= 5 else "reject" if number <= 2 else None)
    assert told["executed"] is False
    text = " ".join(shown("--faulty", number, "--colluding").split())
    assert ("This is the break" in text) == (number >= 5)


def test_the_same_seed_shows_the_same() -> None:
    assert shown() == shown()
    assert draw_faults(7, 2) == draw_faults(7, 2) != draw_faults(8, 2)


def test_what_is_shown_is_what_was_counted() -> None:
    """The tally by hand is the certificate in the log."""
    heard = hear(7, draw_faults(7, 2, (Fault.DUPLICATING, Fault.MALFORMED)))
    assert heard.certificate is not None
    counted = sorted((one.vote for one in heard.said if one.counted), key=lambda vote: vote.verifier)
    assert tuple(counted) == heard.certificate.votes


WRONG: list[tuple[tuple[Any, ...], str]] = [
    (("--faulty", 8), "--faulty: 8 is not within 0 to 7"),
    (("--kind", "slient"), "--kind: 'slient' is not a kind of fault"),
    (("--kind", "silent", "--colluding"), "--colluding says what is wrong with them"),
]


@pytest.mark.parametrize(("arguments", "error"), WRONG)
def test_wrong_usage_is_one_line_and_a_hint(arguments: tuple[Any, ...], error: str) -> None:
    told = said(*DEMO, *arguments, code=2)[1]
    assert error in told
    assert "hint: " in told


def test_help_shows_examples_and_the_group_its_commands() -> None:
    shown = said("verifiers", "demo", "--help")[0]
    assert "agentrooms verifiers demo --faulty 5 --colluding" in shown
    assert all(fault in shown for fault in Fault)
    assert "demo" in said("verifiers")[0]


def test_a_process_shows_the_same() -> None:
    """A pipe has 120 columns."""
    done = agentrooms(*DEMO, "--kind", "malformed", env=environment())
    assert done.stderr == ""
    assert "reasons malformed" in done.stdout
