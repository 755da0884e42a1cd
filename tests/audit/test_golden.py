"""Archives of this and of former versions, as they lie in tests/golden, still verify.

When a test here fails after a change to the code: were the old logs meant to stop being valid? Almost never.
Were runs meant to come out differently? Then, as long as this version is not released, `python -m tests.golden.make
--replace NAME`; after that a new version, whose archives get names of their own, and a word in the changelog.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from agentrooms.sim.run import Run
from tests.audit.archives import failing
from tests.cli.commands import said
from tests.golden import make

FORMER = make.HERE / "0.1.0-format1-small"  # its manifest alone: what the program says to logs of another kind
FOLDERS = sorted(path.parent for path in make.HERE.glob(f"*/{archive.EVENTS}"))
CURRENT = [folder for folder in FOLDERS if archive.read_manifest(folder).version == version("agentrooms")]


def test_the_golden_archives_are_there() -> None:
    """Those of this version, named by it."""
    for folder in FOLDERS:
        manifest = archive.read_manifest(folder)
        assert folder.name.startswith(f"{manifest.version}-format{manifest.format}-")
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


@pytest.mark.parametrize("command", ["verify", "replay"])
def test_an_archive_of_an_earlier_format_is_refused_by_name(command: str) -> None:
    """Its events are others: it says so and which version reads it, before it looks at any line."""
    why = r"was made by an earlier version of agentrooms \('0\.1\.0'\): it has format 1, this program reads format 2"
    for read in (archive.read_manifest, archive.read_events, audit, Run.open):
        with pytest.raises(archive.OtherFormat, match=why) as caught:
            read(FORMER)
        assert "use that version for it" in caught.value.hint
    _out, err = said(command, FORMER, code=1)
    assert "made by an earlier version of agentrooms" in err


@pytest.mark.parametrize(("kind", "format_"), [("run", 3), ("room", 2), ("room", 4)])
def test_an_archive_of_any_other_format_is_refused(kind: str, format_: int, tmp_path: Path) -> None:
    """Of a live room too, and of a later version."""
    (tmp_path / archive.MANIFEST).write_text(f'{{"format":{format_},"kind":"{kind}","version":"9"}}')
    which = "an earlier" if (kind, format_) == ("room", 2) else "a later"
    with pytest.raises(archive.OtherFormat, match=f"made by {which} version of agentrooms"):
        audit(tmp_path)


def test_making_golden_archives_overwrites_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even those of another version, whatever is asked for."""
    other = tmp_path / "0.0.1-format1-small"
    other.mkdir()
    (other / "x").write_text("kept")
    (tmp_path / make.SMALL).mkdir()
    (tmp_path / make.SMALL / "x").write_text("kept")
    (tmp_path / make.FAULTS).mkdir()
    assert make.main([], tmp_path) == 1
    assert make.SMALL in capsys.readouterr().err
    with pytest.raises(SystemExit):
        make.main(["--replace", other.name], tmp_path)
    assert [(folder / "x").read_text() for folder in (other, tmp_path / make.SMALL)] == ["kept", "kept"]
    assert make.main(["--replace", make.SMALL], tmp_path) == 0
    assert archive.read_lines(tmp_path / make.SMALL) == archive.lines_of(make.small())
    assert (other / "x").read_text() == "kept"
    assert list((tmp_path / make.FAULTS).iterdir()) == []
