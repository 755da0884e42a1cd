"""A data folder has one owner, which a second one is told, and a secret that is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentrooms.services.folder import DataFolder, FolderOwned, FolderUnusable

OWN = """
import sys
from pathlib import Path
from agentrooms.services.folder import DataFolder
with DataFolder(Path(sys.argv[1])).own("agentrooms up --swarm 7"):
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_a_second_owner_is_told_who_the_first_is_and_a_killed_one_is_followed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with subprocess.Popen(
        [sys.executable, "-c", OWN, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "owned\n"
        with pytest.raises(FolderOwned, match=rf"agentrooms up --swarm 7.*process {first.pid} "), folder.own("second"):
            pass
        owner = folder.owner()
        assert owner is not None
        assert owner.pid == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert folder.owner() is None
    with folder.own("second"):
        owner = folder.owner()
        assert owner is not None
        assert (owner.pid, owner.command) == (os.getpid(), "second")
    assert folder.owner() is None


def test_one_process_cannot_own_it_twice_either(tmp_path: Path) -> None:
    with DataFolder(tmp_path).own("first"), pytest.raises(FolderOwned, match="`first`"), DataFolder(tmp_path).own("b"):
        pass


def test_it_is_private_and_of_a_known_format(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "deep" / "data")
    with folder.own("test"):
        assert folder.path.stat().st_mode & 0o077 == 0
        assert folder.logs.is_dir()
        assert (folder.path / ".gitignore").read_text() == "*\n"
    (folder.path / "format").write_text("1\n")
    with pytest.raises(FolderUnusable, match="format '1'; this program knows 2"), folder.own("test"):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FolderUnusable, match="not empty"), DataFolder(tmp_path).own("test"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_whose_maker_died_early_is_used(tmp_path: Path) -> None:
    for name in ("lock", ".gitignore", ".format"):
        (tmp_path / name).touch()
    with DataFolder(tmp_path).own("test"):
        assert (tmp_path / "format").read_text() == "2\n"


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FolderUnusable, match="cannot be written"), DataFolder(tmp_path / "data").own("test"):
        pass


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    with DataFolder(tmp_path).own("test") as folder:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: folder.secret(), range(16)))
        assert [len(secret) for secret in found] == [32]
        assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.glob(".secret-*")) == []
        with pytest.raises(FolderUnusable, match="exists"):
            folder.put_secret(bytes(32))
    assert {DataFolder(tmp_path).secret()} == found


def test_a_damaged_secret_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(FolderUnusable, match="5 bytes instead of 32"):
        DataFolder(tmp_path).secret()
