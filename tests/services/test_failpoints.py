"""Failpoints act once, at the passage they are armed for, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.errors import InvalidInput
from agentrooms.services import failpoints


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def passages(name: str, count: int) -> list[bool]:
    """Says for each passage whether the place failed."""
    failed = []
    for _ in range(count):
        try:
            failpoints.hit(name)
        except failpoints.FailpointReached:
            failed.append(True)
        else:
            failed.append(False)
    return failed


def test_a_place_that_is_not_armed_does_nothing() -> None:
    assert passages("a", 2) == [False, False]


def test_an_armed_place_fails_once_at_its_count() -> None:
    failpoints.arm("a", failpoints.ERROR, 2)
    assert (passages("b", 2), passages("a", 4)) == ([False, False], [False, True, False, False])


def test_the_environment_variable_arms_several() -> None:
    failpoints.arm_from("a:error,b:error:2,")
    assert (passages("a", 2), passages("b", 3)) == ([True, False], [False, True, False])
    failpoints.arm_from("a:error")
    failpoints.disarm()
    assert passages("a", 1) == [False]


@pytest.mark.parametrize("text", ["a", "a:", "a:melt", "a:error:0", "a:error:x", "a:error:1:2", ":::"])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        failpoints.arm_from(text)
    assert caught.value.hint
