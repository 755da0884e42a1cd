"""How property tests draw their examples, and how a failing one says what replays it."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

PROFILE_VARIABLE = "AGENTROOMS_HYPOTHESIS"  # default, or long for campaigns
PROFILE = os.environ.get(PROFILE_VARIABLE, "default")

# The machine is shared and examples are whole histories: slow is not wrong. No example has a deadline.
_COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _COMMON, max_examples=40, stateful_step_count=30)
settings.register_profile("long", _COMMON, max_examples=2_000, stateful_step_count=60)
settings.load_profile(PROFILE)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Gives every session a seed of its own, known from the start, so that a failure can name it."""
    if config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the one command that replays a failing property test."""
    report = yield
    if report.failed and item.get_closest_marker("hypothesis") is not None:
        report.sections.append(("Replay", replay_command(item)))
    return report


def replay_command(item: pytest.Item) -> str:
    """Returns the command line that draws the same examples again."""
    profile = "" if PROFILE == "default" else f"{PROFILE_VARIABLE}={PROFILE} "
    seed = item.config.getoption("hypothesis_seed")
    return f"{profile}python3 run.py test {shlex.quote(item.nodeid)} --hypothesis-seed={seed}"
