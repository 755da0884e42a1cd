"""Every change of a live room's archive is named: by hashes, by the pinned key, by rules, by what is due."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrooms.domain.canonical import canonical
from agentrooms.domain.keys import public_hex
from agentrooms.events.record import decode_line
from agentrooms.sim import archive
from agentrooms.sim.audit import Report, audit
from agentrooms.sim.live_archive import read_room_manifest, room_key_name
from tests.audit import archives
from tests.audit.archives import failing
from tests.live_archive import forging
from tests.live_archive.forging import Fields
from tests.live_archive.system import KEYS, SIGNER, A, B, System

KEY = public_hex(SIGNER)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["sealed", "opened", "partial"])
def source(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return forging.copy(source, tmp_path / "tampered")


def named(report: Report, *numbers: int) -> bool:
    """Whether a failed check names one of the lines, counted from 1."""
    said = " ".join(failing(report).values())
    return any(re.search(rf"\bline {number}\b", said) for number in numbers)


def places(folder: Path) -> list[int]:
    """Indices of lines of each kind, from the middle: of the room, of the platform, redacted, elsewhere."""
    room = read_room_manifest(folder).room
    kinds: dict[str, list[int]] = {}
    for n, fields in enumerate(forging.fields_of(folder)):
        other = "other" if fields["chain"] not in {room, "platform"} else fields["chain"]
        kinds.setdefault("redacted" if "redacted" in fields else other, []).append(n)
    return [found[len(found) // 2] for found in kinds.values()]


@SHARED
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255), file=st.sampled_from(["events", "manifest"]))
def test_one_flipped_byte_is_found(source: Path, folder: Path, place: float, byte: int, file: str) -> None:
    name = {"events": archive.EVENTS, "manifest": archive.MANIFEST}[file]
    data = bytearray((source / name).read_bytes())
    at = int(place * len(data))
    data[at] ^= byte
    (folder / archive.EVENTS).write_bytes((source / archive.EVENTS).read_bytes())
    (folder / archive.MANIFEST).write_bytes((source / archive.MANIFEST).read_bytes())
    (folder / name).write_bytes(bytes(data))
    assert archives.is_found(folder), (at, data[at - 20 : at + 20])


@pytest.mark.parametrize("file", [archive.EVENTS, archive.MANIFEST])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\n",
        b"[" * 100_000,
        b'{"chain":"room_b","hash":"0","redacted":true,"seq":1}\n',
        b'{"chain":"e\xcc\x81","hash":"","redacted":true,"seq":-1}\n',
        b'{"chain":"x","hash":"0","redacted":false,"seq":1}\n',
        b'{"format":3,"kind":"room","first":0,"room":[]}\n',
        b'{"format":3,"kind":7}\n',
    ],
    ids=lambda data: repr(data[:24]),
)
def test_no_junk_ends_in_a_traceback(file: str, data: bytes, folder: Path) -> None:
    (folder / file).write_bytes(data)
    assert not audit(folder, key=KEY, re_execute=True).passed


@SHARED
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_one_flipped_byte_of_an_opened_vault_is_found(opened: Path, tmp_path: Path, place: float, byte: int) -> None:
    folder = tmp_path / "vault"
    if not folder.exists():
        forging.copy(opened, folder)
    data = bytearray((opened / archive.VAULT).read_bytes())
    data[int(place * len(data))] ^= byte
    (folder / archive.VAULT).write_bytes(bytes(data))
    assert not audit(folder).passed


def test_a_dropped_line_is_found(source: Path, folder: Path) -> None:
    lines = forging.lines_of(source)
    for at in places(source):
        forging.put_lines(folder, lines[:at] + lines[at + 1 :])
        report = audit(folder)
        assert not report.check("heads").passed
        if json.loads(lines[at])["chain"] in {B, "platform"}:
            assert "missing" in report.check("chains").detail, at


def test_a_doubled_line_is_found(source: Path, folder: Path) -> None:
    lines = forging.lines_of(source)
    for at in places(source):
        forging.put_lines(folder, [*lines[:at], lines[at], *lines[at:]])
        report = audit(folder)
        assert not report.check("chains").passed, at
        assert named(report, at + 1, at + 2), failing(report)


def test_swapped_lines_are_found(source: Path, folder: Path) -> None:
    lines = forging.lines_of(source)
    chains = [fields["chain"] for fields in forging.fields_of(source)]
    at = max(n for n in range(len(lines) - 1) if chains[n] == chains[n + 1] == B)
    for first in (at, at - 20):
        changed = list(lines)
        changed[first], changed[first + 1] = changed[first + 1], changed[first]
        forging.put_lines(folder, changed)
        assert named(audit(folder), first + 1, first + 2)


def test_a_cut_tail_is_found(source: Path, folder: Path) -> None:
    lines = forging.lines_of(source)
    forging.put_lines(folder, lines[:-3])
    report = audit(folder)
    assert "cut off" in report.check("chains").detail
    assert not report.check("heads").passed


def test_a_replaced_redaction_is_found(sealed: Path, tmp_path: Path) -> None:
    folder = forging.copy(sealed, tmp_path / "redacted")
    lines = forging.lines_of(sealed)
    hidden = [n for n, line in enumerate(lines) if b'"redacted":true' in line]
    for at in (hidden[0], hidden[len(hidden) // 2], hidden[-1]):
        changed = list(lines)
        changed[at] = canonical({**json.loads(lines[at]), "hash": "ab" * 32})
        forging.put_lines(folder, changed)
        report = audit(folder)
        assert set(failing(report)) == {"chains", "heads"}
        assert named(report, at + 1), failing(report)


def test_a_line_that_is_hidden_behind_a_redaction_is_found(sealed: Path, tmp_path: Path) -> None:
    """Its hash keeps the chain whole, and the manifest is signed anew; but nothing private is due there."""
    kinds = ("act.posted", "agent.paused", "deal.locked", "deal.completed", "agent.spawned")
    for kind in kinds:
        folder = forging.copy(sealed, tmp_path / kind)
        lines = forging.lines_of(folder)
        fields = forging.fields_of(folder)
        at = [n for n, f in enumerate(fields) if f.get("type") == kind and f["chain"] == B][-1]
        hidden = {"chain": B, "hash": decode_line(lines[at]).hash, "redacted": True, "seq": fields[at]["seq"]}
        lines[at] = canonical(hidden)
        forging.put_lines(folder, lines)
        forging.resign(folder)
        found = failing(audit(folder))
        assert not {"chains", "heads"} & set(found), found
        assert found, kind
        assert "key" in failing(audit(folder, key=KEY))


def test_a_private_body_in_a_sealed_archive_is_found(sealed: Path, opened: Path, tmp_path: Path) -> None:
    folder = forging.copy(sealed, tmp_path / "bare")
    forging.put_lines(folder, forging.lines_of(opened))
    forging.resign(folder)
    assert "this private event has its body" in failing(audit(folder))["heads"]


def test_a_rewritten_manifest_is_found(source: Path, folder: Path) -> None:
    for field, value in (("last", 149), ("room", A), ("opened", True), ("prev", "1" * 64), ("version", "9.9.9")):
        manifest = json.loads((source / archive.MANIFEST).read_bytes())
        assert manifest[field] != value or field == "opened"
        manifest[field] = value if manifest[field] != value else False
        (folder / archive.MANIFEST).write_bytes(json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
        assert not audit(folder).check("heads").passed, field


def test_a_manifest_that_is_none_leaves_nothing_passed(source: Path, folder: Path) -> None:
    (folder / archive.MANIFEST).write_bytes(b'{"format":3,"kind":"room"}\n')
    found = failing(audit(folder, key=KEY, expect_head="0" * 64, re_execute=True))
    assert {"heads", "commands", "certificates", "key", "re_execution"} <= set(found)


def test_a_foreign_key_is_found_by_whoever_knows_ours(source: Path, folder: Path) -> None:
    forging.resign(folder)
    assert failing(audit(folder)) == {}
    found = failing(audit(folder, key=KEY))
    assert set(found) == {"key"}
    assert public_hex(forging.THIEF) in found["key"]


def test_a_line_of_another_room_that_is_no_lock_is_found(sealed: Path, system: System, tmp_path: Path) -> None:
    folder = forging.copy(sealed, tmp_path / "foreign")
    spoken = next(r.line for r in system.lines(A) if r.type == "act.posted")
    forging.put_lines(folder, [*forging.lines_of(folder), spoken])
    forging.resign(folder, elsewhere=read_room_manifest(folder).elsewhere + 1)
    assert "is no lock" in failing(audit(folder))["lines"]


def test_a_lock_that_another_room_held_is_found(opened: Path, tmp_path: Path) -> None:
    """The other room's lock on a wallet is a lock here, too: of another price, it leaves too little for a deal here."""
    folder = forging.copy(opened, tmp_path / "elsewhere")

    def dearer(lines: list[Fields]) -> None:
        lock = next(line for line in lines if line["chain"] == A and line["type"] == "deal.locked")
        mine = next(line for line in lines if line["chain"] == B and line["type"] == "deal.locked")
        lock["data"]["terms"]["item"] = mine["data"]["terms"]["item"]
        lines[:] = [line for line in lines if line["chain"] != A]
        lines.insert(lines.index(mine), lock)

    forging.relink(folder, dearer)
    forging.resign(folder, elsewhere=1)
    assert re.search("item . is locked by deal", failing(audit(folder))["locks"])


def test_an_accept_that_locked_nothing_is_found(opened: Path, tmp_path: Path) -> None:
    """Also the last one, unless the archive ends with it."""
    folder = forging.copy(opened, tmp_path / "accept")

    def lost(lines: list[Fields]) -> None:
        accepts = [n for n in lines if n["chain"] == B and n["data"].get("act") == "accept"]
        at = lines.index(accepts[-1])
        rest = [n for n in lines[at + 1 :] if n["type"] == "quote.expired" or n["chain"] != B]
        lines[at + 1 :] = rest

    forging.relink(folder, lost)
    assert "followed by no lock" in failing(audit(folder))["locks"]
    assert "are not explained" in failing(audit(folder))["acts"]


@pytest.mark.parametrize("what", ["missing", "limit", "other room", "room key", "no room key", "one more"])
def test_a_changed_vault_is_found_even_when_all_is_signed_again(
    what: str, opened: Path, opened_a: Path, tmp_path: Path
) -> None:
    folder = forging.copy(opened, tmp_path / "vault")

    def change(secrets: dict[str, bytes]) -> None:
        mandate = min(key for key in secrets if len(key) == 64)
        match what:
            case "missing":
                del secrets[mandate]
            case "limit":
                signed = json.loads(secrets[mandate])
                signed["mandate"]["reservation_usdc_micros"] += 10_000
                secrets[mandate] = canonical(signed)
            case "room key":
                secrets[room_key_name(B)] = KEYS[A]
            case "no room key":
                del secrets[room_key_name(B)]
            case "one more":
                vault = archive.read_vault(opened_a)
                assert vault is not None
                key = next(json.loads(line)["mandate_hash"] for line in mandates_of(opened_a))
                secrets[key] = vault.get(key)

    def mandates_of(of: Path) -> list[bytes]:
        return [json.dumps(f["data"]).encode() for f in forging.fields_of(of) if f.get("type") == "agent.spawned"]

    if what == "other room":
        (folder / archive.VAULT).write_bytes((opened_a / archive.VAULT).read_bytes())
    else:
        forging.change_vault(folder, change)
    assert archive.VAULT in failing(audit(folder))["heads"]
    forging.resign(folder)
    found = failing(audit(folder, re_execute=True))
    assert "heads" not in found
    assert set(found) & {"mandates", "re_execution"}, found
    if what != "room key":
        assert "mandates" in found


def test_a_vault_beside_a_sealed_archive_is_found(sealed: Path, opened: Path, tmp_path: Path) -> None:
    folder = forging.copy(sealed, tmp_path / "sealed")
    (folder / archive.VAULT).write_bytes((opened / archive.VAULT).read_bytes())
    assert "is sealed by its manifest" in failing(audit(folder))["heads"]


def test_an_opened_archive_without_its_vault_is_found(opened: Path, tmp_path: Path) -> None:
    folder = forging.copy(opened, tmp_path / "opened")
    (folder / archive.VAULT).unlink()
    assert "has no vault.ndjson" in failing(audit(folder))["heads"]


def test_a_changed_lock_elsewhere_is_found(opened_a: Path, tmp_path: Path) -> None:
    folder = forging.copy(opened_a, tmp_path / "elsewhere")

    def other_price(lines: list[Fields]) -> None:
        lock = next(line for line in lines if line["chain"] == B and line["type"] == "deal.locked")
        lock["data"]["terms"]["price_usdc_micros"] = 500 * 1_000_000

    forging.relink(folder, other_price)
    assert "may lock" in failing(audit(folder))["locks"]
