"""Archives of live rooms verify, wherever they begin and end, and say what could not be checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentrooms.domain.keys import public_hex
from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from agentrooms.sim.live_archive import read_room_manifest
from tests.audit.archives import failing
from tests.cli.commands import document
from tests.live_archive.system import SIGNER, A, B, System

KEY = public_hex(SIGNER)


def noted(notes: tuple[str, ...], what: str) -> int:
    """The number that the one note about something gives."""
    (note,) = [note for note in notes if what in note]
    found = re.search(r"\d+", note)
    assert found is not None, note
    return int(found[0])


def test_a_sealed_archive_passes_and_lists_what_it_cannot_show(sealed: Path, system: System) -> None:
    report = audit(sealed, key=KEY)
    assert failing(report) == {}
    types = [r.type for r in system.lines(B)]
    notes = report.unchecked
    assert noted(notes, "redacted") == types.count("acts.explained")
    assert noted(notes, "mandates: the archive is sealed") == sum(
        types.count(name) for name in ("agent.spawned", "agent.reconfigured")
    )
    assert noted(notes, "escrow transaction") == types.count("escrow.submitted")
    assert noted(notes, "of theirs here") == read_room_manifest(sealed).elsewhere
    assert noted(notes, "receipts, owners") == types.count("deal.completed") + types.count("deal.failed")
    assert any("executed again" in note for note in notes)
    counts = {check.name: check.count for check in report.checks}
    assert counts["lines"] == counts["chains"] == len(archive.read_lines(sealed))
    assert counts["acts"] == types.count("act.posted")
    assert counts["locks"] >= types.count("deal.locked") > 0
    assert counts["certificates"] >= 5 * types.count("deal.certified")
    assert counts["mandates"] == counts["settlement"] == 0


def test_an_opened_archive_passes_with_limits_and_re_executes(opened: Path, opened_a: Path, system: System) -> None:
    for folder, room in ((opened, B), (opened_a, A)):
        report = audit(folder, key=KEY, re_execute=True)
        assert failing(report) == {}
        types = [r.type for r in system.lines(room)]
        assert report.check("re_execution").count == len(types)
        assert report.check("mandates").count > types.count("act.posted") // 2
        assert report.check("settlement").count == types.count("escrow.submitted") > 0
        assert not any("sealed" in note or "redacted" in note for note in report.unchecked)


def test_whoever_does_not_pin_the_key_is_told(sealed: Path) -> None:
    (note,) = [note for note in audit(sealed).unchecked if "--key" in note]
    assert KEY in note
    assert not any("--key" in note for note in audit(sealed, key=KEY).unchecked)


def test_a_part_passes_and_says_what_rests_on_the_rest(partial: Path) -> None:
    report = audit(partial)
    assert failing(report) == {}
    assert {check.name for check in report.checks} == {"lines", "chains", "heads", "commands", "words", "certificates"}
    assert any("before seq 60: 59 of its lines" in note for note in report.unchecked)
    assert any("the fold and the tables" in note for note in report.unchecked)


def test_every_part_passes(system: System, tmp_path: Path) -> None:
    """Also one that begins or ends within a round, a deal, or with a redacted line."""
    count = len(system.lines(B))
    for n, first in enumerate(range(2, count, 7)):
        last = min(count, first + 11 * (n % 4))
        folder = system.export(B, tmp_path / f"part-{n}", first=first, last=last)
        assert failing(audit(folder)) == {}, (first, last)


@pytest.mark.parametrize("room", [A, B])
def test_every_beginning_passes_and_re_executes(room: str, system: System, tmp_path: Path) -> None:
    count = len(system.lines(room))
    for last in (1, 2, 3, *range(4, count, 9)):
        folder = system.export(room, tmp_path / f"opened-{last}", last=last, opened=True)
        assert failing(audit(folder, re_execute=True)) == {}, last
        folder = system.export(room, tmp_path / f"sealed-{last}", last=last)
        assert failing(audit(folder)) == {}, last


def test_the_expected_head_is_compared(sealed: Path, opened: Path) -> None:
    """Sealed and opened archives of the same lines have the same head."""
    head = read_room_manifest(sealed).head
    assert read_room_manifest(opened).head == head
    assert audit(opened, expect_head=head).check("expect_head").passed
    assert not audit(sealed, expect_head="0" * 64).passed


def test_a_sealed_archive_cannot_be_executed_again(sealed: Path) -> None:
    check = audit(sealed, re_execute=True).check("re_execution")
    assert (check.passed, check.detail) == (
        False,
        "not run: the archive is sealed: agents decide by their mandates, which it does not hold",
    )


def test_the_command_prints_the_list_and_its_code_is_0(sealed: Path) -> None:
    found = document("verify", sealed, "--key", KEY)
    assert found["passed"]
    assert len(found["unchecked"]) == len(audit(sealed, key=KEY).unchecked) > 5
    assert {check["name"] for check in found["checks"]} >= {"key", "heads"}
    document("verify", sealed, "--key", "0" * 64, code=1)
