"""Intact archives pass, and the audit says how much it has looked at and what it could not."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from agentrooms.sim import archive
from agentrooms.sim.archive import NotAnArchive
from agentrooms.sim.audit import Report, audit
from agentrooms.sim.settings import custom
from tests.audit import archives
from tests.audit.archives import failing

CHECKS = (
    "lines",
    "chains",
    "heads",
    "commands",
    "mandates",
    "acts",
    "locks",
    "words",
    "certificates",
    "settlement",
    "fold",
    "tables",
)


@pytest.mark.parametrize("name", sorted(archives.settings_by_name()))
def test_a_run_of_each_preset_passes(name: str, tmp_path: Path) -> None:
    report = audit(archives.make(tmp_path / name, archives.settings_by_name()[name]))
    assert failing(report) == {}
    assert tuple(check.name for check in report.checks) == CHECKS


def test_a_room_in_which_only_a_rare_item_was_quoted_passes(tmp_path: Path) -> None:
    """Then neither floor nor top bid of the base grade has ever moved."""
    settings = msgspec.structs.replace(custom(269, 1, 1), mandate_rounds=(60, 100), deal_ms=20_000)
    assert failing(audit(archives.make(tmp_path / "run", settings))) == {}


def test_everything_there_is_was_looked_at(small: Path, faulty: Path, forked: Path) -> None:
    for folder in (small, faulty, forked):
        types = [r.type for r in archive.read_events(folder)]
        report = audit(folder)
        assert failing(report) == {}
        counts = {check.name: check.count for check in report.checks}
        assert counts["lines"] == counts["chains"] == len(types)
        assert counts["acts"] == types.count("act.posted")
        assert counts["locks"] == types.count("deal.locked") > 0
        assert counts["words"] == 2 * types.count("deal.verifying") > 0
        assert counts["certificates"] >= 5 * types.count("deal.certified") > 0
        assert counts["settlement"] > 2 * types.count("deal.completed") > 0
        assert counts["mandates"] > types.count("agent.spawned")
        assert counts["fold"] > 0
        assert counts["tables"] >= types.count("deal.locked") + types.count("agent.spawned")


def test_a_fork_names_its_parent_as_something_to_compare(forked: Path) -> None:
    report = audit(forked)
    parent = archive.read_manifest(forked).parent
    assert parent is not None
    assert report.check("fork").count > 0
    assert any(parent.head in note for note in report.unchecked)
    assert {"agent.reconfigured", "agent.left"} <= {r.type for r in archive.read_events(forked)}


def test_re_execution_gives_the_same_bytes(small: Path, forked: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    for folder in (small, forked):
        report = audit(folder, re_execute=True, progress=lambda *step: seen.append(step))
        assert failing(report) == {}
        assert report.check("re_execution").count == len(archives.lines_of(folder))
    assert {stage for stage, _done, _total in seen} >= {"read", "rules", "re_execution"}
    assert all(0 <= done <= total for _stage, done, total in seen)


def test_the_expected_head_is_compared(small: Path) -> None:
    head = archive.read_manifest(small).head
    report = audit(small, expect_head=head)
    assert report.head == head
    assert failing(report) == {}
    assert set(failing(audit(small, expect_head="0" * 64))) == {"expect_head"}


def test_what_could_not_be_checked_is_said(small: Path) -> None:
    notes = " ".join(audit(small).unchecked)
    assert "--expect-head" in notes
    assert "--re-execute" in notes
    more = audit(small, expect_head=archive.read_manifest(small).head, re_execute=True)
    assert more.unchecked == ()


def test_an_archive_without_vault_is_sealed_not_broken(small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "sealed")
    (folder / archive.VAULT).unlink()
    report = audit(folder)
    assert failing(report) == {}
    assert report.check("mandates").count == 0
    assert any("sealed" in note for note in report.unchecked)


def test_other_data_than_ours_is_a_note(small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "data")
    manifest = msgspec.structs.replace(archive.read_manifest(folder), data_sha256={"other.csv": "0" * 64})
    (folder / archive.MANIFEST).write_bytes(msgspec.json.encode(manifest))
    archives.resign(folder)
    report = audit(folder)
    assert failing(report) == {}
    assert any("other.csv" in note for note in report.unchecked)


def test_a_report_is_plain_json(faulty: Path) -> None:
    report = audit(faulty)
    plain = json.loads(json.dumps(msgspec.to_builtins(report)))
    assert msgspec.convert(plain, Report) == report


@pytest.mark.parametrize("missing", [archive.EVENTS, archive.MANIFEST])
def test_a_folder_without_its_files_is_no_archive(missing: str, small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "part")
    (folder / missing).unlink()
    with pytest.raises(NotAnArchive, match=missing):
        audit(folder)
