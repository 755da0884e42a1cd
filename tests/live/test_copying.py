"""What belongs to an installation beside its database is copied while no system runs; the rest is tests/cli/test_live.py."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from agentrooms.chain.devnet.engine import Genesis
from agentrooms.chain.evm.devnet import LIVE_CHAIN_ID
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.live.chain import ChainChanged, chain_of
from agentrooms.live.copying import copy_files
from agentrooms.live.demo import KEPT
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings
from tests.devnet.engines import anvil_binary, make_engine


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


@pytest.mark.parametrize(("mode", "engine"), [("devnet", "pyevm"), ("anvil", "anvil")])
def test_a_devnet_at_rest_is_copied(
    folder: DataFolder, into: Path, mode: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_engine(engine).close()  # skips when there is none
    if mode == "anvil":
        monkeypatch.setenv("ANVIL_BIN", str(anvil_binary()))
    with folder.own("agentrooms up"):
        with chain_of(Settings.model_validate({"chain_mode": mode}), folder) as spec, closing(Rpc(spec.url)) as rpc:
            mined = rpc.call("devnet_mine")["hash"]
        (folder.path / KEPT).write_text("{}")
        copy_files(folder, into)
    names = {file.relative_to(into).as_posix() for file in into.rglob("*") if file.is_file()}
    assert names == {"chain.json", "demo.json", f"chain/{engine}"}
    assert (into / "chain.json").read_bytes() == (folder.path / "chain.json").read_bytes()
    with closing(make_engine(engine, into / "chain" / engine, Genesis(chain_id=LIVE_CHAIN_ID))) as copied:
        assert (copied.head().number, copied.head().hash) == (1, mined)


def test_without_a_chain_there_is_nothing_to_copy(folder: DataFolder, into: Path) -> None:
    with folder.own("agentrooms up"):
        copy_files(folder, into)
        assert list(into.iterdir()) == []
        with chain_of(Settings(chain_mode="ledger"), folder):
            copy_files(folder, into)
    assert [file.name for file in into.iterdir()] == ["chain.json"]


def test_a_note_that_cannot_be_read_is_an_error(folder: DataFolder, into: Path) -> None:
    with folder.own("agentrooms up"):
        (folder.path / "chain.json").write_text("{")
        with pytest.raises(ChainChanged, match="damaged"):
            copy_files(folder, into)
