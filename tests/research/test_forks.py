"""A fork either changes what it was asked to change, or says why not and writes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentrooms import Run
from agentrooms.errors import InvalidInput
from agentrooms.sim import engine
from agentrooms.sim.forks import fork
from agentrooms.sim.settings import preset
from tests.research import runs


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run that the issues speak of."""
    return runs.make(tmp_path_factory.mktemp("parent") / "a", preset("balanced_market", 7))


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that a refusal comes before any run."""

    def refuse(*_arguments: object) -> None:
        raise AssertionError("the run was started")

    monkeypatch.setattr(engine.Engine, "run", refuse)


def refusal(parent: Path, out: Path, at: int, *changes: str) -> str:
    """Return why a fork is refused; nothing may be left of it."""
    with pytest.raises(InvalidInput) as caught:
        fork(parent, out, at=at, changes=list(changes))
    assert not out.exists()
    assert list(out.parent.iterdir()) == []
    return str(caught.value)


def locked_at(parent: Path) -> tuple[int, str]:
    """Return the event of a deal's lock, and its buyer."""
    deals = Run.open(parent).deals()
    return deals["locked_event"][0], deals["buyer"][0]


def test_an_agent_that_has_left_cannot_be_changed(parent: Path, tmp_path: Path) -> None:
    agents = Run.open(parent).agents().filter(left_reason="bought_nft")
    agent, round_ = agents["agent"][0], agents["left_round"][0]
    at = max(n for n, r in enumerate(Run.open(parent), start=1) if getattr(r.event, "round", round_ + 1) <= round_)
    for change in ("strategy=patient", "style=formal", "limit=90000000"):
        said = refusal(parent, tmp_path / "out", at, f"agent.{agent}.{change}")
        assert "does not happen" in said
        assert "is done (bought_nft)" in said
    assert "has left already" in refusal(parent, tmp_path / "out", at, f"agent.{agent}.removed=true")


@pytest.mark.parametrize("change", ["strategy=patient", "style=formal", "removed=true"])
def test_an_agent_bound_by_a_deal_cannot_be_changed(change: str, parent: Path, tmp_path: Path) -> None:
    at, agent = locked_at(parent)
    assert "has the live deal" in refusal(parent, tmp_path / "out", at, f"agent.{agent}.{change}")


def test_what_is_so_already_is_no_change(parent: Path, tmp_path: Path) -> None:
    """Alone or beside a change that does happen."""
    row = Run.open(parent).agents().row(0, named=True)
    at = row["joined_event"]
    same = f"agent.{row['agent']}.strategy={row['strategy']}"
    other = "formal" if row["style"] != "formal" else "casual"
    assert "has that strategy already" in refusal(parent, tmp_path / "out", at, same)
    assert "has that strategy already" in refusal(
        parent, tmp_path / "out", at, same, f"agent.{row['agent']}.style={other}"
    )


def test_a_fork_of_a_fork_with_the_same_change_is_refused(parent: Path, tmp_path: Path) -> None:
    row = Run.open(parent).agents().row(0, named=True)
    at, change = row["joined_event"], f"agent.{row['agent']}.removed=true"
    (tmp_path / "once").mkdir()
    fork(parent, tmp_path / "once" / "b", at=at, changes=[change])
    (tmp_path / "twice").mkdir()
    assert "again, to the byte" in refusal(tmp_path / "once" / "b", tmp_path / "twice" / "c", at, change)


def test_after_the_room_closed_there_is_nothing_to_fork(parent: Path, tmp_path: Path, no_run: None) -> None:
    run = Run.open(parent)
    closing = next(r.at_ms for r in run if r.type == "room.closed")
    late = [n for n, r in enumerate(run, start=1) if r.at_ms >= closing]
    agent = run.agents()["agent"][0]
    for at in late:
        said = refusal(parent, tmp_path / "out", at, f"agent.{agent}.strategy=patient")
        assert said.startswith(f"the room closes in the round of event {at}")


def test_the_last_event_that_is_named_is_forked_without_blaming_the_version(parent: Path, tmp_path: Path) -> None:
    run = Run.open(parent)
    agent = run.agents().sort("left_round")["agent"][-1]
    with pytest.raises(InvalidInput) as caught:
        fork(parent, tmp_path / "out", at=len(run), changes=[f"agent.{agent}.removed=true"])
    named = re.search(r"event (\d+)", caught.value.hint)
    assert named is not None
    assert "does not happen" in refusal(parent, tmp_path / "out", int(named[1]), f"agent.{agent}.removed=true")


def test_where_it_would_go_is_known_before_the_run(parent: Path, tmp_path: Path, no_run: None) -> None:
    agent = Run.open(parent).agents()["agent"][0]
    (tmp_path / "file").write_text("")
    for out, why in ((tmp_path / "file", "is not a folder"), (tmp_path, "not empty"), (Path("/proc/x"), "written")):
        with pytest.raises(InvalidInput, match=why):
            fork(parent, out, at=60, changes=[f"agent.{agent}.strategy=patient"])
