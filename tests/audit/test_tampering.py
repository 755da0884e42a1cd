"""One line changed, removed, doubled, inserted, swapped, or all after it cut off: found, at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrooms.domain.canonical import canonical
from agentrooms.events.record import line_hash
from agentrooms.sim.audit import Report, audit
from tests.audit import archives
from tests.audit.archives import Fields, failing

TYPES = (  # all that a reproducible run can have in its log
    "act.posted",
    "acts.explained",
    "agent.left",
    "agent.reconfigured",
    "agent.spawned",
    "collection.registered",
    "deal.certified",
    "deal.completed",
    "deal.failed",
    "deal.locked",
    "deal.verifying",
    "escrow.submitted",
    "ledger.funded",
    "ledger.minted",
    "quote.expired",
    "room.closed",
    "room.opened",
    "swarm.completed",
    "swarm.started",
    "user.registered",
    "verifiers.registered",
    "wallet.budgeted",
)


class Victim:
    """A copy of an archive with one line of a type picked out; `index` counts from 0."""

    def __init__(self, sources: list[Path], folder: Path, type_: str) -> None:
        for source in sources:
            self.lines = archives.lines_of(source)
            self.fields: list[Fields] = [json.loads(line) for line in self.lines]
            places = [n for n, fields in enumerate(self.fields) if fields["type"] == type_]
            if places:
                self.index = places[len(places) // 2]
                self.folder = archives.copy(source, folder)
                return
        raise AssertionError(f"no archive has a {type_}")

    def audit(self, lines: list[bytes]) -> Report:
        archives.put_lines(self.folder, lines)
        return audit(self.folder)

    def neighbours(self, lines: list[bytes]) -> set[int]:
        """Returns the line numbers next to the picked place in its chain, as they are after tampering."""
        chain = self.fields[self.index]["chain"]
        mine = [n for n, line in enumerate(lines, start=1) if json.loads(line)["chain"] == chain]
        before = [n for n in mine if n <= self.index]
        after = [n for n in mine if n > self.index]
        return {*before[-1:], *after[:2]}


@pytest.fixture(params=TYPES)
def victim(request: pytest.FixtureRequest, faulty: Path, forked: Path, tmp_path: Path) -> Victim:
    return Victim([faulty, forked], tmp_path / "victim", request.param)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the paths of all values that are not lists or objects."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path
        return
    for key, part in inner:
        yield from leaves(part, (*path, key))


def changed(value: Any) -> Any:
    """Returns another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    return "something"


def with_change(fields: Fields, path: tuple[str | int, ...]) -> bytes:
    copy = json.loads(json.dumps(fields))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = changed(inner[path[-1]])
    return canonical(copy)


def names(report: Report, numbers: set[int]) -> bool:
    """Tells whether a failed check names one of the lines."""
    said = " ".join(failing(report).values())
    return any(re.search(rf"\bline {number}\b", said) for number in numbers)


def test_all_types_of_the_archives_are_in_the_table(small: Path, faulty: Path, forked: Path) -> None:
    folders = (small, faulty, forked)
    assert {json.loads(line)["type"] for folder in folders for line in archives.lines_of(folder)} == set(TYPES)


def test_a_changed_value_is_found_whichever_it_is(victim: Victim) -> None:
    fields = victim.fields[victim.index]
    paths = list(leaves(fields))
    assert len(paths) > 8
    for path in paths:
        lines = list(victim.lines)
        lines[victim.index] = with_change(fields, path)
        report = victim.audit(lines)
        assert names(report, {victim.index + 1}), f"{path}: {failing(report)}"


def test_an_added_field_is_found(victim: Victim) -> None:
    lines = list(victim.lines)
    lines[victim.index] = canonical(
        {**victim.fields[victim.index], "data": {"zz": 1, **json.loads(lines[victim.index])["data"]}}
    )
    report = victim.audit(lines)
    assert names(report, {victim.index + 1})
    assert not report.check("lines").passed


def test_a_removed_line_is_found(victim: Victim) -> None:
    lines = [line for n, line in enumerate(victim.lines) if n != victim.index]
    report = victim.audit(lines)
    assert not report.check("heads").passed
    assert names(report, victim.neighbours(lines)), failing(report)
    assert re.search("missing|cut off|none of it", report.check("chains").detail), report.check("chains")


def test_a_doubled_line_is_found(victim: Victim) -> None:
    lines = list(victim.lines)
    lines.insert(victim.index, lines[victim.index])
    report = victim.audit(lines)
    assert "inserted or repeated" in report.check("chains").detail
    assert report.check("chains").place.startswith(f"events.ndjson line {victim.index + 2} ")


def test_an_inserted_line_with_a_true_link_is_found(victim: Victim) -> None:
    fields = victim.fields[victim.index]
    forged = canonical({**fields, "prev": line_hash(victim.lines[victim.index]), "seq": fields["seq"] + 1})
    lines = [*victim.lines[: victim.index + 1], forged, *victim.lines[victim.index + 1 :]]
    report = victim.audit(lines)
    assert not report.check("chains").passed
    assert names(report, {victim.index + 2} | victim.neighbours(lines) | victim.neighbours(victim.lines))


def test_swapped_lines_are_found(victim: Victim) -> None:
    first = min(victim.index, len(victim.lines) - 2)
    lines = list(victim.lines)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    report = victim.audit(lines)
    assert names(report, {first + 1, first + 2}), failing(report)
    if victim.fields[first]["chain"] == victim.fields[first + 1]["chain"]:
        assert "swapped" in report.check("chains").detail


def test_a_cut_tail_is_found(victim: Victim) -> None:
    lines = victim.lines[: victim.index]
    report = victim.audit(lines)
    assert not report.check("heads").passed
    assert not report.check("chains").passed
    if lines:
        assert re.search("cut off|none of it", report.check("chains").detail)
        said = re.search(r"events.ndjson line (\d+)", report.check("chains").place)
        assert said is None or int(said[1]) <= len(lines)


def test_a_file_cut_within_a_line_is_found(small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "cut")
    data = (folder / "events.ndjson").read_bytes()
    (folder / "events.ndjson").write_bytes(data[:-40])
    report = audit(folder)
    assert names(report, {data.count(b"\n")})
    assert not report.check("lines").passed


def test_an_unreadable_line_is_named_and_the_rest_says_that_it_did_not_run(small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "unreadable")
    lines = archives.lines_of(folder)
    lines[40] = lines[40][:-7]
    archives.put_lines(folder, lines)
    report = audit(folder)
    assert report.check("lines").place == "events.ndjson line 41"
    assert "line 41, which cannot be read" in report.check("chains").detail
    assert report.check("acts").detail == "not run: line 41 cannot be read"
    assert report.head == ""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"round":1', b'"round":1.0', "float"),
        (b'{"at_ms"', b'{ "at_ms"', "not canonical"),
        (b'"role":"buyer"', b'"role":"\\u0062uyer"', "not canonical"),
        (b'"item":null,', b'"item":null,"item":null,', "not canonical"),
        (b'"name":"', b'"name":"e\xcc\x81', "normal form C"),
    ],
)
def test_bytes_that_are_not_canonical_are_found(old: bytes, new: bytes, why: str, small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "form")
    lines = archives.lines_of(folder)
    at = next(n for n, line in enumerate(lines) if b"agent.spawned" in line and b'"role":"buyer"' in line)
    assert old in lines[at]
    lines[at] = lines[at].replace(old, new, 1)
    archives.put_lines(folder, lines)
    check = audit(folder).check("lines")
    assert not check.passed
    assert check.place.startswith(f"events.ndjson line {at + 1}")
    assert why in check.detail
