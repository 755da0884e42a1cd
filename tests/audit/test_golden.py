"""Archives of this and of former versions, as they lie in tests/golden, still verify.

When a test here fails after a change to the code: were the old logs meant to stop being valid? Almost never.
Were runs meant to come out differently? Then `python -m tests.golden.make` and a word in the changelog.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from tests.audit.archives import failing
from tests.golden import make

FOLDERS = sorted(path.parent for path in make.HERE.glob(f"*/{archive.MANIFEST}"))
CURRENT = [folder for folder in FOLDERS if archive.read_manifest(folder).version == version("agentrooms")]


def test_the_golden_archives_are_there() -> None:
    assert {make.SMALL, make.FAULTS} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_golden_archive_verifies(folder: Path) -> None:
    report = audit(folder, expect_head=archive.read_manifest(folder).head)
    assert failing(report) == {}
    assert report.check("locks").count > 0


@pytest.mark.parametrize("folder", CURRENT, ids=lambda folder: folder.name)
def test_a_golden_archive_of_this_version_re_executes_to_the_byte(folder: Path) -> None:
    assert failing(audit(folder, re_execute=True)) == {}


def test_deals_end_both_ways_in_the_golden_faults() -> None:
    types = {recorded.type for recorded in archive.read_events(make.HERE / make.FAULTS)}
    assert types >= make.WANTED
