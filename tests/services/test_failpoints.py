"""Failpoints act once, at the passage they are armed for, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from agentrooms.errors import InvalidInput
from agentrooms.services import failpoints


@pytest.fixture(autouse=True)
def _disarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test arms is harmless after it."""
    monkeypatch.setattr(failpoints, "_armed", {})


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


def test_a_process_that_stops_at_a_place_goes_on_from_there() -> None:
    """It is stopped before the next line, and continued by whoever wants."""
    code = "from agentrooms.services import failpoints as f; f.arm('a', f.STOP); f.hit('a'); print('on')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as stopped:
        _pid, status = os.waitpid(stopped.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        os.kill(stopped.pid, signal.SIGCONT)
        assert stopped.stdout is not None
        assert stopped.stdout.read() == b"on\n"


@pytest.mark.parametrize("text", ["a", "a:", "a:melt", "a:error:0", "a:error:x", "a:error:1:2", ":::"])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        failpoints.arm_from(text)
    assert caught.value.hint
