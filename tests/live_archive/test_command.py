"""`agentrooms export room:ID`, on a log that is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from agentrooms.cli import main as entry
from agentrooms.domain.keys import public_hex
from agentrooms.events.store import EventStore
from agentrooms.events.vault import Vault
from agentrooms.sim import archive
from agentrooms.sim.live_archive import read_room_manifest
from tests.cli.commands import document
from tests.live_archive.system import KEYS, SIGNER, B, System


class AtHand:
    """What `agentrooms.live.access` gives, from a system of this process."""

    def __init__(self, system: System) -> None:
        self.store: EventStore = system.store
        self.vault: Vault = system.vault
        self.whose = "this process's own"

    def signing_key(self) -> SigningKey:
        return SIGNER

    def room_key(self, room: str) -> bytes:
        return KEYS[room]


@pytest.fixture(autouse=True)
def live(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The running system that commands find: this process's own."""

    @contextmanager
    def live_log() -> Iterator[AtHand]:
        yield AtHand(system)

    monkeypatch.setattr("agentrooms.live.access.live_log", live_log)


def test_a_room_is_exported_sealed_unless_asked(sealed: Path, system: System, tmp_path: Path) -> None:
    said = document("export", f"room:{B}", "--out", tmp_path / "x")
    assert (tmp_path / "x" / archive.EVENTS).read_bytes() == (sealed / archive.EVENTS).read_bytes()
    manifest = read_room_manifest(tmp_path / "x")
    assert said == {
        "folder": str(tmp_path / "x"),
        "from": 1,
        "head": manifest.head,
        "key": public_hex(SIGNER),
        "opened": False,
        "redacted": manifest.redacted,
        "room": B,
        "to": len(system.lines(B)),
    }


def test_a_part_of_a_room_is_exported(tmp_path: Path) -> None:
    document("export", f"room:{B}", "--from", "20", "--to", "40", "--out", tmp_path / "x")
    manifest = read_room_manifest(tmp_path / "x")
    assert (manifest.first, manifest.last) == (20, 40)
    assert document("verify", tmp_path / "x")["passed"]


def test_limits_are_opened_when_asked(tmp_path: Path) -> None:
    assert document("export", f"room:{B}", "--open-limits", "--out", tmp_path / "x")["opened"]
    assert document("verify", tmp_path / "x", "--re-execute", "--key", public_hex(SIGNER))["passed"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("room:", "--out", "x"), "names no room"),
        ((f"room:{B}", "--out", "x", "--format", "csv"), "--format is for the tables of a run"),
        ((f"room:{B}", "--out", "x", "--from", "0"), "--from: 0 is not within"),
        ((".", "--out", "x", "--format", "csv", "--from", "1"), "--from is for a room of the running system"),
        ((".", "--out", "x", "--format", "csv", "--open-limits"), "--open-limits is for a room"),
        ((".", "--out", "x"), "--format is missing"),
        (("runs/none", "--out", "x", "--format", "csv"), "runs/none does not exist"),
    ],
)
def test_what_does_not_belong_together_is_wrong_usage(
    arguments: tuple[str, ...],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.run(["export", *arguments]) == entry.USAGE
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
