"""Whatever bytes stand in an archive's files, an audit ends in a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrooms.sim import archive
from agentrooms.sim.archive import NotAnArchive
from agentrooms.sim.audit import Report, audit
from tests.audit import archives

FILES = (archive.EVENTS, archive.VAULT, archive.MANIFEST)
SHARED = settings(max_examples=3 * settings().max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    return archives.copy(small, tmp_path / "bytes")


def audit_with(folder: Path, small: Path, name: str, data: bytes) -> Report:
    for file in FILES:
        (folder / file).write_bytes(data if file == name else (small / file).read_bytes())
    return audit(folder, expect_head="0" * 64)


@pytest.mark.parametrize("name", FILES)
@SHARED
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_one_flipped_byte_is_found(name: str, folder: Path, small: Path, place: float, byte: int) -> None:
    data = bytearray((small / name).read_bytes())
    at = int(place * len(data))
    data[at] ^= byte
    report = audit_with(folder, small, name, bytes(data))
    assert {check.name for check in report.checks if not check.passed} > {"expect_head"}, (at, data[at - 20 : at + 20])


@pytest.mark.parametrize("name", FILES)
@SHARED
@given(place=st.floats(0, 1, exclude_max=True), length=st.integers(0, 400), junk=st.binary(max_size=40))
def test_a_replaced_stretch_is_found(
    name: str, folder: Path, small: Path, place: float, length: int, junk: bytes
) -> None:
    data = (small / name).read_bytes()
    at = int(place * len(data))
    changed = data[:at] + junk + data[at + length :]
    report = audit_with(folder, small, name, changed)
    if changed != data:
        assert {check.name for check in report.checks if not check.passed} > {"expect_head"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\0" * 100,
        b"\xff\xfe",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"[" * 100_000,
        b'{"key":' + b"[" * 100_000,
        b'{"data":' + b'{"a":' * 100_000,
        b'{"settings":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"at_ms":' + b"9" * 5_000 + b"}\n",
        b'{"at_ms":1e999}\n',
        b'"\\ud800"\n',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_no_junk_ends_in_a_traceback(name: str, data: bytes, folder: Path, small: Path) -> None:
    report = audit_with(folder, small, name, data)
    assert not report.passed or (name == archive.VAULT and not data)


@pytest.mark.parametrize("field", ["text", "agent", "refers_to", "price_usdc_micros", "round", "act"])
@pytest.mark.parametrize(
    "value", ["null", "[]", "-1", "0", "9" * 30, '"\\u0000"', '"\xff"', '"e\u0301"', "1.5", "true"]
)
def test_valid_json_of_the_wrong_kind_is_found(field: str, value: str, folder: Path, small: Path) -> None:
    """Also when all hashes are true again."""
    lines = archives.lines_of(small)
    at = next(n for n, line in enumerate(lines) if b'"counter"' in line)
    before, _, rest = lines[at].partition(f'"{field}":'.encode())
    old = rest.split(b',"')[0]
    lines[at] = before + f'"{field}":'.encode() + value.encode() + rest[len(old) :]
    archives.put_lines(folder, lines)
    archives.resign(folder)
    assert not audit(folder).passed


def test_a_path_that_is_no_folder_is_no_archive(small: Path) -> None:
    with pytest.raises(NotAnArchive):
        audit(small / archive.EVENTS)
