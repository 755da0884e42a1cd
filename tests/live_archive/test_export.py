"""What an export of a live room holds, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.keys import public_hex
from agentrooms.errors import InvalidInput
from agentrooms.events.record import PLATFORM, decode_line
from agentrooms.events.vault import MemoryVault, NotInVault
from agentrooms.sim import archive
from agentrooms.sim.archive import NotAnArchive
from agentrooms.sim.live_archive import ELSEWHERE_TYPES, export_room, read_room_manifest, redact, room_key_name
from agentrooms.sim.run import Run
from tests.live_archive import forging
from tests.live_archive.system import KEYS, SIGNER, A, B, System


def test_the_two_rooms_went_through_what_the_tests_are_about(system: System) -> None:
    types = {room: [r.type for r in system.lines(room)] for room in (A, B)}
    lived = {"agent.paused", "agent.resumed", "agent.reconfigured", "agent.left", "deal.locked", "quote.expired"}
    assert all(set(types[room]) >= lived for room in (A, B))
    assert types[A][-1] == "room.closed"
    assert {"deal.completed", "deal.failed"} <= set(types[B])
    reasons = {getattr(r.event, "reason", None) for r in system.lines(B) if r.type == "deal.failed"}
    assert reasons == {"rejected", "expired"}
    assert {refused.id for refused in system.refused} >= {f"wrong-{A}", f"wrong-{B}"}


def test_an_opened_archive_holds_the_lines_as_they_are_stored(system: System, opened: Path) -> None:
    stored = [p.event.data for p in system.store.read()]
    lines = archive.read_lines(opened)
    assert [line for line in stored if line in set(lines)] == lines  # the log's order
    decoded = [decode_line(line) for line in lines]
    assert [r.line for r in decoded if r.chain == B] == [r.line for r in system.lines(B)]
    until = stored.index(system.lines(B)[-1].line)
    platform = [line for line in stored[:until] if decode_line(line).chain == PLATFORM]
    assert [r.line for r in decoded if r.chain == PLATFORM] == platform


def test_locks_of_the_other_room_come_along(system: System, opened_a: Path) -> None:
    """All on this room's items and wallets: here those of every deal, since both rooms trade the same."""
    until = [p.event.data for p in system.store.read()].index(system.lines(A)[-1].line)
    stored = [decode_line(p.event.data) for p in system.store.read()[:until]]
    locks = [r.line for r in stored if r.chain == B and r.type in ELSEWHERE_TYPES]
    lines = [line for line in archive.read_lines(opened_a) if decode_line(line).chain == B]
    assert lines == locks
    assert len(lines) == read_room_manifest(opened_a).elsewhere > 4


def test_a_sealed_archive_holds_no_secret(system: System, sealed: Path) -> None:
    assert not (sealed / archive.VAULT).exists()
    private = [r for r in system.lines(B) if r.type == "acts.explained"]
    lines = archive.read_lines(sealed)
    assert [line for line in lines if b"redacted" in line] == [redact(r) for r in private] != []
    assert set(json.loads(redact(private[0]))) == {"chain", "hash", "redacted", "seq"}
    written = b"".join(file.read_bytes() for file in sealed.iterdir())
    for secret in (b"reservation", b"acts.explained", b'"rule"', KEYS[B], KEYS[B].hex().encode()):
        assert secret not in written


def test_an_opened_archive_holds_the_secrets_of_its_room_and_no_other(opened: Path, system: System) -> None:
    keys = [json.loads(line)["key"] for line in (opened / archive.VAULT).read_bytes().splitlines()]
    events = [r.event for r in system.lines(B)]
    mandates = {event.mandate_hash for event in events if hasattr(event, "mandate_hash")}
    sent = {event.tx_hash for event in events if hasattr(event, "tx_hash")}
    assert set(keys) == mandates | sent | {room_key_name(B)}
    others = {r.event.mandate_hash for r in system.lines(A) if isinstance(r.event, AgentSpawned)}
    assert others.isdisjoint(keys)


def test_the_manifest_says_what_there_is(system: System, sealed: Path, partial: Path) -> None:
    chain = system.lines(B)
    whole, part = read_room_manifest(sealed), read_room_manifest(partial)
    assert (whole.first, whole.last, whole.prev) == (1, len(chain), "0" * 64)
    assert (part.first, part.last, part.prev) == (60, len(chain), chain[58].hash)
    assert part.heads == whole.heads
    assert part.heads[B].hash == chain[-1].hash
    assert whole.public_key == public_hex(SIGNER)
    assert (whole.opened, part.elsewhere) == (False, 0)


@pytest.mark.parametrize(
    ("room", "first", "last", "opened", "why"),
    [
        ("room_c", 1, None, False, "no room room_c"),
        ("platform", 1, None, False, "no room platform"),
        (B, 0, None, False, "asked were 0 to"),
        (B, 5, 4, False, "asked were 5 to 4"),
        (B, 1, 10_000, False, "asked were 1 to 10000"),
        (B, 2, None, True, "begins with the room's first event"),
    ],
)
def test_what_is_not_there_is_refused(
    room: str, first: int, last: int | None, opened: bool, why: str, system: System, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=why):
        export_room(
            system.store,
            system.vault,
            room,
            first=first,
            last=last,
            opened=opened,
            key=SIGNER,
            room_key=b"k",
            out=tmp_path / "x",
        )
    assert list(tmp_path.iterdir()) == []


def test_an_opened_archive_needs_all_its_secrets(system: System, tmp_path: Path) -> None:
    def export(vault: MemoryVault, room_key: bytes | None) -> None:
        export_room(
            system.store,
            vault,
            B,
            first=1,
            last=None,
            opened=True,
            key=SIGNER,
            room_key=room_key,
            out=tmp_path / "x",
        )

    with pytest.raises(NotInVault):
        export(MemoryVault(), KEYS[B])
    with pytest.raises(InvalidInput, match="the key of room"):
        export(system.vault, None)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_there_is_not_overwritten(system: System, sealed: Path) -> None:
    before = (sealed / archive.EVENTS).read_bytes()
    with pytest.raises(InvalidInput, match="not empty"):
        system.export(A, sealed)
    assert (sealed / archive.EVENTS).read_bytes() == before


def test_two_exports_of_the_same_lines_are_the_same_bytes(system: System, sealed: Path, tmp_path: Path) -> None:
    again = system.export(B, tmp_path / "again", last=len(system.lines(B)))
    assert [f.read_bytes() for f in sorted(again.iterdir())] == [f.read_bytes() for f in sorted(sealed.iterdir())]


def test_a_rooms_archive_is_not_taken_for_a_runs(sealed: Path) -> None:
    with pytest.raises(NotAnArchive, match="the archive of a live room"):
        Run.open(sealed)


def test_a_signature_covers_every_field(sealed: Path) -> None:
    manifest = read_room_manifest(sealed)
    assert archive.is_signed(manifest)
    assert archive.seal(manifest, SIGNER) == manifest
    assert archive.seal(manifest, SigningKey(b"o" * 32)).signature != manifest.signature
    assert forging.THIEF != SIGNER
