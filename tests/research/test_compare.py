"""Comparisons of a run with its forks, with itself and with a stranger."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agentrooms import Run
from agentrooms.domain.terms import LeaveReason
from agentrooms.projections.describe import describe, names_of
from agentrooms.projections.example import example_log
from agentrooms.sim.compare import Comparison, Relation, compare
from agentrooms.sim.forks import fork
from agentrooms.sim.settings import preset
from tests.research import runs


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, str]:
    """Return a run, two forks of it, and the agent that the first fork removes."""
    folder = tmp_path_factory.mktemp("family")
    parent = runs.make(folder / "a", preset("balanced_market", 2))
    run = Run.open(parent)
    buyer = run.deals()["buyer"][-1]
    at = run.agents().filter(agent=buyer)["joined_event"][0]
    fork(parent, folder / "b", at=at, changes=[f"agent.{buyer}.removed=true"])
    fork(parent, folder / "c", at=at, changes=[f"agent.{buyer}.style=formal", f"agent.{buyer}.strategy=sniper"])
    return parent, folder / "b", folder / "c", buyer


def test_a_fork_shares_its_parents_beginning(family: tuple[Path, Path, Path, str]) -> None:
    parent, child, sibling, _agent = family
    found = compare(parent, child)
    shared = Run.open(child).manifest.parent
    assert shared is not None
    assert found.shared_events >= shared.events
    assert found.parting is not None
    assert found.parting.event == found.shared_events + 1
    assert "user_removed" in (found.parting.b or "")
    assert (found.relation, compare(child, parent).relation) == (Relation.A_IS_PARENT, Relation.B_IS_PARENT)
    assert compare(child, sibling).relation is Relation.SIBLINGS
    assert [setting.name for setting in found.settings] == ["interventions"]


def test_a_removed_agent_fares_otherwise(family: tuple[Path, Path, Path, str]) -> None:
    parent, child, _sibling, agent = family
    found = compare(parent, child)
    outcomes = {outcome.agent: outcome for outcome in found.agents}
    assert outcomes[agent].b == f"leaves ({LeaveReason.USER_REMOVED})"
    assert (outcomes[agent].a or "").startswith("buys from")
    assert [trade.buyer for trade in found.deals_only_a].count(agent) == 1


def test_deals_and_figures_stand_side_by_side(family: tuple[Path, Path, Path, str]) -> None:
    """Each completed deal of either run is in one of the three lists."""
    parent, child, sibling, _agent = family
    for one, two in ((parent, child), (child, sibling), (sibling, parent)):
        found, a, b = compare(one, two), Run.open(one), Run.open(two)
        counts = [run.deals().filter(state="completed").height for run in (a, b)]
        assert [len(found.deals_both) + len(only) for only in (found.deals_only_a, found.deals_only_b)] == counts
        for trade in found.deals_both:
            assert trade.a_usdc_micros is not None
            assert trade.b_usdc_micros == trade.a_usdc_micros + (trade.difference_usdc_micros or 0)
        assert {m.name: m.a for m in found.metrics} == a.metrics()
        assert {m.name: m.b for m in found.metrics} == b.metrics()


def test_a_run_equals_itself(family: tuple[Path, Path, Path, str]) -> None:
    parent = family[0]
    found = compare(parent, parent)
    assert (found.relation, found.parting) == (Relation.EQUAL, None)
    assert [found.settings, found.agents, found.deals_only_a, found.deals_only_b] == [[], [], [], []]
    assert {row.topic for row in found.rows()} == {"log"}


def test_strangers_share_nothing(family: tuple[Path, Path, Path, str], archives: list[Path]) -> None:
    """Agents of another seed are others."""
    found = compare(family[0], archives[1])
    assert (found.relation, found.shared_events) == (Relation.UNRELATED, 0)
    assert all((outcome.a is None) != (outcome.b is None) for outcome in found.agents)
    assert {"seed", "preset", "buyers"} <= {setting.name for setting in found.settings}


def test_a_comparison_is_json_and_rows_of_text(family: tuple[Path, Path, Path, str]) -> None:
    found = compare(family[0], family[1])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison).shared_events == found.shared_events
    rows = [(row.topic, row.what, row.a, row.b) for row in found.rows()]
    assert all(type(text) is str and text for row in rows for text in row)
    assert {"log", "setting", "agent", "deal", "figure"} == {topic for topic, *_ in rows}


def test_a_log_that_ends_early_is_said_to_have_ended(family: tuple[Path, Path, Path, str], tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.mkdir()
    for file in family[0].iterdir():
        (short / file.name).write_bytes(file.read_bytes())
    log = short / "events.ndjson"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    found = compare(family[0], short)
    assert found.parting is not None
    assert (found.parting.a, found.parting.b) == ("swarm.completed", None)
    assert "(ended)" in {row.b for row in found.rows()}


def test_events_are_described_in_words() -> None:
    log, _mandates = example_log()
    lines = [describe(recorded, names_of(log)) for recorded in log]
    for line in (
        "round 1: Ada joins as a patient buyer",
        'round 4: Bo counters with 70.00 USDC (to Eve): "80.00 is steep, Eve. 70.00?"',
        "round 5: Ada buys Example #1 from Dee at 85.00 USDC, locked",
        "round 13: quote.expired of Cy",
        "round 9: deal_ada_dee completes",
        "round 14: Cy leaves (gave_up)",
        "round 15: room.closed",
    ):
        assert line in lines
