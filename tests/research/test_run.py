"""`agentrooms.Run`: what it reads, what it steps to, and what it says when it cannot."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import agentrooms
from agentrooms import AgentroomsError, Run
from agentrooms.domain.room import Room
from agentrooms.errors import InvalidInput
from agentrooms.events.record import decode_line
from agentrooms.projections.walk import BrokenLog
from agentrooms.sim import archive
from agentrooms.sim import run as run_module
from agentrooms.sim.archive import NotAnArchive
from tests.research import runs


def test_states_are_those_of_a_fold_of_the_first_events(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order of asking, near and far from a checkpoint."""
    monkeypatch.setattr(run_module, "CHECKPOINT_EVENTS", 50)
    events = run.events()
    numbers = random.Random(1).sample(range(len(events) + 1), 20)
    for number in [0, len(events), 50, 49, *numbers, len(events)]:
        assert run.at(number) == runs.replayed(events, number), number


def test_before_the_first_event_there_is_no_room(run: Run) -> None:
    assert run.at(0) == Room()


@pytest.mark.parametrize("number", [-1, 10**9, 1.5, "3", None])
def test_a_number_that_is_no_event_is_refused(run: Run, number: object) -> None:
    with pytest.raises(InvalidInput, match=f"events 1 to {len(run)}"):
        run.at(number)  # type: ignore[arg-type]


def test_an_unknown_room_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="no room 'room_x'"):
        run.at(3, room="room_x")
    assert run.at(9, room=run.rooms[0]) == run.at(9)


def test_a_fold_sees_every_event_once_and_in_order(run: Run) -> None:
    assert run.fold(lambda seen, recorded: [*seen, recorded.hash], list[str]()) == [r.hash for r in run]
    assert len(run) == run.manifest.events


def test_frames_have_the_declared_columns_and_types(run: Run) -> None:
    """Money is an integer in every frame, also where a column is empty."""
    dtypes = {"integer": pl.Int64, "text": pl.String, "boolean": pl.Boolean}
    for table in run.tables():
        assert run.frame(table.name).schema == {c.name: dtypes[c.type] for c in table.columns}
        for column in table.columns:
            assert column.null_means or run.frame(table.name)[column.name].null_count() == 0, column.name
            assert column.name.endswith("_usdc_micros") == (column.unit == "micro-USDC")


def test_shorthands_are_the_tables(run: Run) -> None:
    for table in run.tables():
        assert getattr(run, table.name)().equals(run.frame(table.name))


def test_an_unknown_table_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="'trades' is not a table"):
        run.frame("trades")


def test_a_sealed_archive_has_no_mandates(archives: list[Path], tmp_path: Path) -> None:
    """All else is there; figures that need limits say why they are not defined."""
    sealed = tmp_path / "sealed"
    shutil.copytree(archives[1], sealed)
    (sealed / archive.VAULT).unlink()
    whole, run = Run.open(archives[1]), Run.open(sealed)
    with pytest.raises(InvalidInput, match="sealed"):
        run.mandates()
    assert run.deals().equals(whole.deals())
    hidden = {name for name, figure in run.figures().items() if "secret" in figure.why_null}
    assert hidden == set(list(whole.metrics())[-9:])
    assert {n: f.unit for n, f in run.figures().items()} == {n: f.unit for n, f in whole.figures().items()}
    assert {n: v for n, v in whole.metrics().items() if n not in hidden} == {
        n: v for n, v in run.metrics().items() if n not in hidden
    }


def test_what_is_no_archive_is_told_in_one_line(archives: list[Path], tmp_path: Path) -> None:
    with pytest.raises(NotAnArchive, match="is not a folder"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(NotAnArchive, match=r"manifest\.json"):
        Run.open(tmp_path)
    cut = tmp_path / "cut"
    shutil.copytree(archives[0], cut)
    (cut / archive.EVENTS).write_bytes(b'{"no": "event"}\n')
    with pytest.raises(NotAnArchive, match="line 1"):
        len(Run.open(cut))


def test_a_log_that_does_not_fold_names_the_event(archives: list[Path], tmp_path: Path) -> None:
    """No KeyError reaches a researcher, whichever event is missing."""
    lines = archive.read_lines(archives[1])
    spawned = next(n for n, line in enumerate(lines) if decode_line(line).type == "agent.spawned")
    accepted = max(n for n, line in enumerate(lines) if decode_line(line).type == "deal.locked")
    for missing in (spawned, accepted):
        broken = tmp_path / str(missing)
        shutil.copytree(archives[1], broken)
        (broken / archive.EVENTS).write_bytes(b"".join(x + b"\n" for n, x in enumerate(lines) if n != missing))
        run = Run.open(broken)
        for look in (run.messages, run.quotes, run.deals, run.agents, run.floor_path, run.metrics):
            with pytest.raises(BrokenLog, match=r"event \d+ of the log \([a-z.]+\) does not follow"):
                look()
        with pytest.raises(BrokenLog):
            run.at(len(run))


def test_a_deal_on_a_quote_that_never_was_is_a_broken_log(archives: list[Path], tmp_path: Path) -> None:
    lines = archive.read_lines(archives[0])
    quote = Run.open(archives[0]).deals()["quote"][0]
    made = Run.open(archives[0]).quotes().filter(quote=quote)["submitted_event"][0]
    shutil.copytree(archives[0], tmp_path / "broken")
    left = lines[: made - 1] + lines[made:]
    (tmp_path / "broken" / archive.EVENTS).write_bytes(b"".join(line + b"\n" for line in left))
    with pytest.raises(BrokenLog, match=r"deal\.locked"):
        Run.open(tmp_path / "broken").deals()


def test_the_package_exports_what_it_says() -> None:
    """And does not import polars before it is needed."""
    assert agentrooms.__all__ == ["AgentroomsError", "Run", "__version__"]
    assert [getattr(agentrooms, name) for name in agentrooms.__all__[:2]] == [AgentroomsError, Run]
    with pytest.raises(AttributeError, match="Walk"):
        agentrooms.Walk  # noqa: B018
    code = "import agentrooms, sys; raise SystemExit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plot_is_a_picture_of_the_path(run: Run) -> None:
    picture = run.plot()
    assert picture.startswith("<svg")
    assert picture.count("<title>") == run.deals().filter(grade="common").height
    assert picture._repr_svg_() == picture
