"""`agentrooms deal show` of archives: all evidence, on any screen, and a finger on whatever was touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rich.cells import cell_len

from agentrooms.sim.archive import EVENTS, VAULT
from tests.cli.commands import agentrooms, document, environment, said

FOLDED = ("Punk #", "not checked: ", "Found by ")  # lines that a terminal folds by itself


@pytest.fixture(scope="module")
def on_devnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a run that settled on the devnet."""
    folder = tmp_path_factory.mktemp("runs") / "devnet"
    agentrooms("swarm", "run", "small_test", "--seed", "7", "--chain", "devnet", "--out", folder, "-q")
    return folder


def deal_of(folder: Path) -> str:
    """The id of the archive's first deal."""
    lines = map(json.loads, (folder / EVENTS).read_text(encoding="utf-8").splitlines())
    return str(next(line["data"]["terms"]["deal"] for line in lines if line["type"] == "deal.locked"))


@pytest.mark.parametrize("columns", [80, 120])
def test_all_evidence_fits_on_the_screen(on_devnet: Path, columns: int) -> None:
    found = document("deal", "show", deal_of(on_devnet), "--archive", on_devnet)
    done = agentrooms("deal", "show", deal_of(on_devnet), "--archive", on_devnet, env=environment(COLUMNS=str(columns)))
    for line in done.stdout.splitlines():
        assert cell_len(line.rstrip()) <= columns or line.startswith(FOLDED), line
    for whole in (found["deal_hash"], found["details_hash"], found["tx_hash"], found["terms"]["escrow"]):
        assert whole in done.stdout
    for part in ("7 of 7 count, 5 are needed: ok", "verifier_7", "payment", "delivery", "execution", "5 gwei"):
        assert part in done.stdout
    assert "BAD" not in done.stdout
    assert "Every signature and hash that could be checked holds." in done.stdout
    assert f"agentrooms verify {on_devnet}" in done.stderr


def test_the_document_holds_everything_in_full(on_devnet: Path, run_a: Path) -> None:
    for folder, logs in ((on_devnet, 4), (run_a, 0)):
        found = document("deal", "show", deal_of(folder).removeprefix("deal_")[:6], "--archive", folder)
        assert (found["wrong"], found["unchecked"], found["failure"]) == ([], [], None)
        assert (found["state"], found["stage"], found["percent"]) == ("completed", "confirmation", 100)
        assert len(found["votes"]) == len(found["members"]) == 7
        assert {len(vote["signature"]) for vote in found["votes"]} == {128}
        assert {len(vote["attestation"]) for vote in found["votes"]} == {130}
        assert [party["role"] for party in found["parties"]] == ["buyer", "seller"]
        assert len(found["settled"]["logs"]) == logs
        assert found["next"] == [f"agentrooms verify {folder}"]


def test_limits_are_shown_only_when_asked_for(on_devnet: Path) -> None:
    plain = document("deal", "show", "deal_", "--archive", on_devnet)
    opened = document("deal", "show", "deal_", "--archive", on_devnet, "--secrets")
    assert [party["mandate"] for party in plain["parties"]] == [None, None]
    text = said("deal", "show", "deal_", "--archive", on_devnet, "--secrets")[0]
    for party in opened["parties"]:
        limit = party["mandate"]["reservation_usdc_micros"]
        assert f"{limit / 1_000_000:,.2f} USDC" in text
        assert str(limit) not in json.dumps(plain)
    assert "(secret)" in text


def test_what_was_touched_is_named(on_devnet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "touched"
    shutil.copytree(on_devnet, folder)
    vote = document("deal", "show", "deal_", "--archive", on_devnet)["votes"][2]
    events = (folder / EVENTS).read_text(encoding="utf-8")
    (folder / EVENTS).write_text(events.replace(vote["signature"], "0" * 128), encoding="utf-8")
    out, _err = said("deal", "show", "deal_", "--archive", folder, code=1)
    assert "BAD: the vote of verifier_3: its signature is not over this" in out
    assert document("deal", "show", "deal_", "--archive", folder, code=1)["wrong"][0].startswith(
        "the vote of verifier_3"
    )


def test_a_sealed_archive_says_what_it_could_not_check(on_devnet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    shutil.copytree(on_devnet, folder)
    (folder / VAULT).unlink()
    out, _err = said("deal", "show", "deal_", "--archive", folder, "--secrets")
    assert "not checked: the buyer's mandate: its mandate is a secret" in out
    assert "(secret)" not in out


def test_a_deal_that_is_not_there(run_a: Path) -> None:
    _out, err = said("deal", "show", "nothing", "--archive", run_a, code=1)
    assert "no deal begins with 'nothing'" in err
