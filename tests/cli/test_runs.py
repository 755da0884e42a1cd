"""Runs from the command line: made, repeated, verified, replayed, forked, compared, exported."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrooms.cli import main as entry
from agentrooms.events.record import decode_line
from agentrooms.sim import archive
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import custom
from tests.cli.commands import agentrooms, document, uncovered

EVENTS = "events.ndjson"


SEVEN = ("swarm", "run", "balanced_market", "--seed", "7")


def on_processors(wanted: int) -> Callable[[], None]:
    """Returns what binds a new process to at most so many processors."""
    return lambda: os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:wanted]))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The log of balanced_market, seed 7, as it comes out here."""
    folder = tmp_path_factory.mktemp("balanced") / "a"
    agentrooms(*SEVEN, "--out", folder)
    return (folder / EVENTS).read_bytes()


SURROUNDINGS: list[dict[str, str]] = [
    {},
    {"PYTHONHASHSEED": "0"},
    {"PYTHONHASHSEED": "1"},
    {"PYTHONHASHSEED": "4294967295"},
    {"TZ": "Asia/Kathmandu"},
    {"TZ": "Pacific/Apia", "SOURCE_DATE_EPOCH": "0"},
    {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"},
    {"LANG": "C", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    {"PYTHONHASHSEED": "77", "TZ": "America/St_Johns", "LANG": "de_DE.ISO-8859-1", "HOME": "/nonexistent"},
]


@pytest.mark.parametrize("surroundings", SURROUNDINGS, ids=lambda names: ",".join(names) or "plain")
@pytest.mark.parametrize(("processors", "folder"), [(1, "deep/er"), (64, "ein Ordner, größer")], ids=["one", "all"])
def test_the_same_seed_gives_the_same_bytes(
    surroundings: dict[str, str], processors: int, folder: str, balanced: bytes, tmp_path: Path
) -> None:
    """Hash seed, time zone, language, folder, working directory and processors are not in the log."""
    env = uncovered(**surroundings)  # the run is measured elsewhere
    agentrooms(*SEVEN, "--out", folder, "-q", cwd=tmp_path, env=env, before=on_processors(processors))
    assert (tmp_path / folder / EVENTS).read_bytes() == balanced


def test_the_same_seed_gives_the_same_bytes_again_in_one_process(balanced: bytes, tmp_path: Path) -> None:
    for name in ("b", "c"):
        assert entry.run([*SEVEN, "--out", str(tmp_path / name), "-q"]) == 0
        assert (tmp_path / name / EVENTS).read_bytes() == balanced


def test_another_seed_gives_another_log(run_a: Path, tmp_path: Path) -> None:
    agentrooms("swarm", "run", "small_test", "--seed", "8", "--out", tmp_path / "b", "--quiet")
    assert (tmp_path / "b" / EVENTS).read_bytes() != (run_a / EVENTS).read_bytes()


def test_a_run_tells_what_came_out(run_a: Path, tmp_path: Path) -> None:
    done = agentrooms("swarm", "run", "small_test", "--seed", "7", "--out", tmp_path / "a")
    found = document("swarm", "run", "small_test", "--seed", "7")
    assert found["head"] in done.stdout
    assert found["seed"] == 7
    for deal in found["deals"]:
        assert f"{deal['price_usdc_micros'] // 1_000_000:,}" in done.stdout
        assert deal["buyer_name"] in done.stdout
    for agent in found["left_without_deal"]:
        assert agent["name"] in done.stdout
    completed = [deal for deal in found["deals"] if deal["state"] == "completed"]
    assert len(found["left_without_deal"]) == 5 - 2 * len(completed)
    assert f"agentrooms verify {tmp_path / 'a'}" in done.stderr


def test_without_out_nothing_is_kept(tmp_path: Path) -> None:
    done = agentrooms("swarm", "run", "--buyers", "2", "--sellers", "1", "--seed", "1", cwd=tmp_path)
    assert "Not kept" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_working_directory_can_become_the_archive(run_a: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    agentrooms("swarm", "run", "small_test", "--seed", "7", "--out", ".", cwd=tmp_path / "here")
    assert (tmp_path / "here" / EVENTS).read_bytes() == (run_a / EVENTS).read_bytes()
    change = ["--at", "60", "--set", "agent.jp.style=formal"]
    agentrooms("fork", "../here", *change, "--out", ".", cwd=tmp_path / "there")
    agentrooms("verify", ".", cwd=tmp_path / "there")
    agentrooms("export", ".", "--format", "csv", "--out", ".", cwd=tmp_path / "there")
    assert (tmp_path / "there" / "deals.csv").exists()


def test_quiet_is_silent(tmp_path: Path) -> None:
    done = agentrooms("swarm", "run", "small_test", "--out", tmp_path / "a", "-q")
    assert done.stdout + done.stderr == ""


def test_options_reach_the_run(tmp_path: Path) -> None:
    options = ["--usdc-per-eth", "2000", "--underfunded", "1000"]
    agentrooms("swarm", "run", "balanced_market", "--seed", "7", *options, "--out", tmp_path / "a")
    found = document("swarm", "run", "balanced_market", "--seed", "7", *options)
    assert found["usdc_per_eth"] == 2000
    assert {deal["state"] for deal in found["deals"]} <= {"failed"}


def test_verify_passes_and_says_what_it_checked(run_a: Path) -> None:
    done = agentrooms("verify", run_a, "--re-execute")
    found = document("verify", run_a)
    assert found["passed"]
    for check in found["checks"]:
        assert check["name"] in done.stdout
    assert "not checked: " in done.stdout
    assert found["head"] in done.stdout


def test_verify_names_the_place_of_a_change(run_a: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(run_a, folder)
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    lines[50], lines[51] = lines[51], lines[50]
    (folder / EVENTS).write_bytes(b"".join(lines))
    done = agentrooms("verify", folder, code=1)
    assert "FAILED: " in done.stdout
    assert "line 51" in done.stdout
    assert not document("verify", folder, code=1)["passed"]


def test_verify_compares_with_a_noted_head(run_a: Path) -> None:
    head = document("verify", run_a)["head"]
    assert document("verify", run_a, "--expect-head", head.upper())["passed"]
    agentrooms("verify", run_a, "--expect-head", "0" * 64, code=1)


def test_replay_shows_the_room_as_it_was(run_a: Path) -> None:
    found = document("replay", run_a, "--at", 90)
    done = agentrooms("replay", run_a, "--at", "90")
    assert found["event"] == 90
    assert found["asks"] == sorted(found["asks"], key=lambda quote: quote["price_usdc_micros"])
    for agent in found["agents"]:
        assert agent["name"] in done.stdout
        assert agent["agent"].removeprefix("agent_") in done.stdout
    for line in found["chat"]:
        assert line["text"].split()[-1] in done.stdout
    assert len(found["chat"]) == 12


def test_replay_before_the_first_event_and_at_the_end(run_a: Path) -> None:
    assert "no room yet" in agentrooms("replay", run_a, "--at", "0").stdout
    end = document("replay", run_a)
    assert end["event"] == end["events"]
    assert end["status"] == "inactive"


def test_replay_steps(run_a: Path) -> None:
    done = agentrooms("replay", run_a, "--step", "--at", "40", stdin="n\np\n+10\n-5\n60\nx\nq\n")
    shown = [line.split("event ")[1].split(" of")[0] for line in done.stdout.splitlines() if " of room time" in line]
    assert shown == ["40", "41", "40", "50", "45", "60"]
    assert "q quit" in done.stderr


def test_replay_plays_the_chat(run_a: Path) -> None:
    done = agentrooms("replay", run_a, "--follow", "--speed", "1000", "--at", "100")
    assert done.stdout.splitlines()[-1].endswith("all agents left")


def test_fork_and_compare(run_a: Path, tmp_path: Path) -> None:
    agent = document("replay", run_a, "--at", 60)["agents"][-1]["agent"]
    out = tmp_path / "b"
    made = document("fork", run_a, "--at", 60, "--set", f"agent.{agent}.removed=true", "--out", out)
    assert made["parent"]["head"] == document("verify", run_a)["head"]
    shared = made["parent"]["events"]
    assert shared >= 60
    ours, theirs = ((folder / EVENTS).read_bytes().splitlines() for folder in (run_a, out))
    assert ours[:shared] == theirs[:shared]
    assert ours[shared] != theirs[shared]
    agentrooms("verify", out, "--re-execute")
    found = document("compare", run_a, out)
    assert found["relation"] == "a_is_parent"
    assert str(shared) in agentrooms("compare", run_a, out).stdout


def test_fork_names_its_parent_and_what_to_do_next(run_a: Path, tmp_path: Path) -> None:
    done = agentrooms("fork", run_a, "--at", "60", "--set", "agent.jp.style=formal", "--out", tmp_path / "b")
    assert "parent " in done.stdout
    assert "agentrooms compare" in done.stderr


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_export(form: str, run_a: Path, tmp_path: Path) -> None:
    made = document("export", run_a, "--format", form, "--out", tmp_path, "--table", "deals", "--table", "agents")
    assert [Path(file["path"]).name for file in made["files"]] == [f"deals.{form}", f"agents.{form}"]
    assert all(Path(file["path"]).stat().st_size == file["bytes"] for file in made["files"])


def test_export_leaves_private_tables_out_unless_asked(run_a: Path, tmp_path: Path) -> None:
    agentrooms("export", run_a, "--format", "csv", "--out", tmp_path / "public")
    agentrooms("export", run_a, "--format", "csv", "--out", tmp_path / "all", "--private")
    public, all_ = ({file.stem for file in (tmp_path / name).iterdir()} for name in ("public", "all"))
    assert "mandates" in all_ - public
    with (tmp_path / "public" / "agents.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5


def test_doctor_finds_this_installation_well(tmp_path: Path) -> None:
    found = document("doctor")
    assert found["passed"]
    assert {"python", "packages", "signatures", "data", "tiny run", "terminal", "disk"} == {
        check["name"] for check in found["checks"]
    }
    assert "twice the same bytes" in agentrooms("doctor", cwd=tmp_path).stdout


def test_bench_quick() -> None:
    """Units say what they count; seeds, counts and aims stand beside each figure."""
    rows = {row["name"]: row for row in document("bench", "core", "--quick", "--seeds", "1,2")["rows"]}
    fields = "name per_second unit count seconds_micros seeds aim ratio_permille events_permille p50_micros p99_micros"
    fields += " aim_p50_micros aim_p99_micros"
    assert all(set(row) == set(fields.split()) for row in rows.values())
    assert all(row["per_second"] > 0 and row["count"] > 0 for row in rows.values())
    assert all(row["seeds"] in ([1, 2], [1]) for row in rows.values())
    turns, acts = rows["swarm of 20: turns, silent ones included"], rows["swarm of 20: posted acts"]
    assert (turns["unit"], acts["unit"], turns["aim"]) == ("turns", "acts", 20_000)
    posted = 0
    for seed in (1, 2):
        made = Engine(custom(seed, 10, 10))
        made.run()
        posted += sum(decode_line(line).type == "act.posted" for line in archive.lines_of(made))
    assert acts["count"] == posted < turns["count"]
    (alone,) = (row for name, row in rows.items() if name.endswith("1 process"))
    assert alone["aim"] == 600
    assert 3_000 <= alone["events_permille"] <= 54_000
    assert rows["replay: decode and fold"]["aim"] == 100_000
