"""Folders to write into: refused before the work, filled whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrooms.errors import InvalidInput
from agentrooms.sim.folders import require_free, require_writable, write_whole

FILES = {"a": b"1", "b": b"2"}


def test_the_working_directory_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stays the one it was."""
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    require_free(Path())
    write_whole(Path(), FILES)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == FILES
    assert tmp_path.stat().st_ino == before


@pytest.mark.parametrize("name", ["new", "deep/er", "empty", "link", "empty/../other"])
def test_new_and_empty_folders_can_be_filled(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    require_free(tmp_path / name)
    write_whole(tmp_path / name, FILES)
    assert {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} == FILES


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "is not a folder"),
        ("file/below/it", "is not a folder"),
        ("full", "not empty"),
        ("loop", "cannot be written"),
        ("n" * 300, "cannot be written"),
        ("/proc/new", "cannot be written"),
        ("/dev/null/x", "is not a folder"),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match=why):
        require_free(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_may_hold_files_needs_not_be_empty(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    require_writable(tmp_path)


@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_write_leaves_nothing(exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
    real, calls = Path.replace, 0

    def second_fails(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2 or not exists:
            raise OSError("disk full")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(OSError, match="disk full"):
        write_whole(folder, FILES)
    assert list(tmp_path.rglob("*")) == ([folder] if exists else [])
