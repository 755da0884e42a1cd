"""Anvil's own side: its binary, its dumps and its process."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import tarfile
from pathlib import Path

import psutil
import pytest

from agentrooms.chain.devnet import anvil_binary
from agentrooms.chain.devnet.anvil import Anvil
from agentrooms.chain.devnet.anvil_binary import fetch_anvil, find_anvil, unpack
from agentrooms.chain.devnet.engine import EngineError, EngineUnusable
from tests.devnet.contracts import mine, signed
from tests.devnet.engines import make_engine
from tests.devnet.processes import gone

NOBODY = "0x" + "11" * 20


def anvil(path: Path | None = None) -> Anvil:
    made = make_engine("anvil", path)
    assert isinstance(made, Anvil)
    return made


def test_a_damaged_dump_gives_way_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    engine = anvil(path)
    for _ in range(3):
        mine(engine)
    engine.close()
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[-10] ^= 1
    for damaged in (b"", whole[: len(whole) // 2], bytes(changed)):
        path.write_bytes(damaged)
        engine = anvil(path)
        assert engine.head().number == 2
        engine.close()
    path.unlink()  # killed between the two renames
    engine = anvil(path)
    assert engine.head().number == 2
    engine.close()
    for file in (path, path.with_name("chain.old")):
        file.write_bytes(b"")
    with pytest.raises(EngineUnusable, match="no whole dump"):
        anvil(path)


def test_a_killed_anvil_is_an_error_and_its_dump_stays(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    engine = anvil(path)
    engine.submit(signed(engine, NOBODY, value=3, gas=21_000))
    mine(engine)
    psutil.Process(engine.pid).kill()
    with pytest.raises(EngineError, match="does not answer"):
        mine(engine)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.balance(NOBODY)
    engine = anvil(path)
    assert (engine.head().number, engine.balance(NOBODY)) == (1, 3)
    engine.close()


def test_closing_leaves_no_process() -> None:
    engine = anvil()
    pid = engine.pid
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    engine.close()
    assert all(gone(one) for one in family)


def test_a_program_that_is_no_anvil(tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho I am something else >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(EngineUnusable, match="does not start: I am something else"):
        Anvil(binary=program)


def test_where_the_binary_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("named", "path/anvil", "cache/anvil"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o755)
    monkeypatch.setenv("ANVIL_BIN", str(tmp_path / "named"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert find_anvil(tmp_path / "cache") == tmp_path / "named"
    monkeypatch.setenv("ANVIL_BIN", str(tmp_path))
    with pytest.raises(EngineUnusable, match="names no program"):
        find_anvil()
    monkeypatch.delenv("ANVIL_BIN")
    assert find_anvil(tmp_path / "cache") == tmp_path / "path" / "anvil"
    monkeypatch.setenv("PATH", "")
    assert find_anvil(tmp_path / "cache") == tmp_path / "cache" / "anvil"
    with pytest.raises(EngineUnusable, match="no anvil was found"):
        find_anvil(tmp_path)


def package(path: Path, content: bytes) -> str:
    """Writes a package like npm's and returns its integrity."""
    with tarfile.open(path, "w:gz") as file:
        member = tarfile.TarInfo("package/bin/anvil")
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_a_fetched_package_must_be_the_pinned_one(tmp_path: Path) -> None:
    tarball, target = tmp_path / "package.tgz", tmp_path / "bin"
    integrity = package(tarball, b"the program")
    with pytest.raises(EngineUnusable, match="sha512"):
        unpack(tarball, anvil_binary.INTEGRITY["linux-amd64"], target)
    assert not target.exists()
    unpack(tarball, integrity, target)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"the program", 0o755)


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.mark.usefixtures("linux")
def test_fetching_goes_through_npm_and_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    integrity = package(tmp_path / "package.tgz", b"anvil")
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\necho "$2" > {tmp_path}/asked\n/bin/cp {tmp_path}/package.tgz "$5/anvil.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(anvil_binary.INTEGRITY, "linux-amd64", integrity)
    assert fetch_anvil(tmp_path / "cache").read_bytes() == b"anvil"
    assert (tmp_path / "asked").read_text() == "@foundry-rs/anvil-linux-amd64@1.7.1\n"
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["anvil"]
    npm.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(EngineUnusable, match="exit 1"):
        fetch_anvil(tmp_path / "cache")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(EngineUnusable, match="no anvil is pinned for linux-riscv64"):
        fetch_anvil(tmp_path / "cache")


@pytest.mark.usefixtures("linux")
def test_npm_may_come_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(anvil_binary, "NODE_WHEEL", "a_wheel_with_node")
    with pytest.raises(EngineUnusable, match="no npm was found"):
        fetch_anvil(tmp_path / "cache")
    root = tmp_path / "a_wheel_with_node"
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for file in (root / "__init__.py", root / "bin" / "node", script):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    importlib.invalidate_caches()
    assert anvil_binary._npm() == [str(root / "bin" / "node"), str(script)]
