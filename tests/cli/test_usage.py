"""Help that shows how, and errors that say in one line what is wrong and how to mend it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentrooms import __version__
from agentrooms.cli import main as entry
from tests.cli.commands import AGENTROOMS, agentrooms, environment, said

COMMANDS = [
    "",
    "api",
    "api serve",
    "openapi",
    "asyncapi",
    "postman",
    "swarm",
    "swarm run",
    "swarm presets",
    "verify",
    "replay",
    "fork",
    "compare",
    "export",
    "doctor",
    "bench",
    "up",
    "status",
    *("room", "room create", "room list", "room show", "room watch", "room close"),
    *("agent", "agent spawn", "agent list", "agent show", "agent pause", "agent resume", "agent remove"),
    *("swarm list", "swarm pause", "swarm resume", "swarm speed", "swarm stop"),
    *("deal", "deal list", "deal show", "db", "db seed"),
    *("jobs", "jobs list", "jobs show", "jobs retry"),
    *("projections", "projections rebuild", "projections check", "backup", "restore"),
    *(
        "verifier",
        "verifier serve",
        "verifier identity",
        "verifier caller",
        "verifiers",
        "verifiers demo",
        "chain",
        "chain deploy",
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(command: str) -> None:
    out, told = said(*command.split(), "--help")
    examples = out.split("Examples")[1]
    assert f"agentrooms {command}".strip() in examples
    assert told == ""
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "command",
    ["", "api", "jobs", "swarm", "room", "agent", "deal", "db", "projections", "verifier", "verifiers", "chain"],
)
def test_a_group_alone_shows_its_help(command: str) -> None:
    assert "Commands" in said(*command.split())[0]


def test_help_of_a_process_is_the_same() -> None:
    done = agentrooms("swarm", "run", "--help")
    assert "agentrooms swarm run small_test --live" in done.stdout.split("Examples")[1]
    assert done.stderr == ""


def test_version() -> None:
    assert agentrooms("--version").stdout == f"agentrooms {__version__}\n"


WRONG = [
    ("upp", 2, "no such command 'upp'", "did you mean up?"),
    ("swarm runn", 2, "no such command 'runn'", "did you mean run?"),
    ("swarm run small_test --sed 7", 2, "no such option: --sed", "did you mean --seed"),
    ("swarm run balanced_markt", 2, "PRESET: 'balanced_markt' is not a preset", "did you mean balanced_market?"),
    ("swarm run tulips", 2, "PRESET: 'tulips' is not a preset", "small_test, balanced_market"),
    ("swarm run", 2, "the swarm has no size", "--buyers N --sellers M"),
    ("swarm run --buyers 3", 2, "the swarm has no size", "--sellers M"),
    ("swarm run small_test --buyers 3 --sellers 3", 2, "a preset has its own numbers", "either"),
    ("swarm run --buyers 999 --sellers 3", 2, "--buyers: 999 is not within 1 to 250", ""),
    ("swarm run small_test --seed seven", 2, "--seed: 'seven' is not a whole number", "such as 7"),
    ("swarm run small_test --seed -1", 2, "--seed: -1 is not within", "such as 7"),
    ("swarm run small_test --seed", 2, "option '--seed' requires an argument", "--help"),
    ("swarm run small_test --underfunded 2000", 2, "--underfunded: 2000 is not within 0 to 1000", ""),
    ("swarm run small_test --out RUN", 1, "RUN exists and is not empty", "another folder"),
    ("swarm run small_test --out /dev/null/x", 1, "/dev/null is not a folder", "a place that is one"),
    ("swarm run small_test --out FILE", 1, "FILE is not a folder", "a place that is one"),
    ("swarm run small_test --out /proc/new", 1, "/proc/new cannot be written", "choose a folder that can"),
    ("fork RUN --at 60 --set agent.jp.strategy=patient --out FILE", 1, "FILE is not a folder", ""),
    ("fork RUN --at 60 --set agent.jp.strategy=patient --out /proc/new", 1, "/proc/new cannot be written", ""),
    ("export RUN --format csv --out /proc/new", 1, "/proc/new cannot be written", ""),
    ("export RUN --format csv --out FILE", 1, "FILE is not a folder", ""),
    ("verify", 2, "DIR is missing", "agentrooms verify --help"),
    ("verify nowhere", 2, "DIR: nowhere does not exist", "agentrooms swarm run"),
    ("verify RUN/events.ndjson", 2, "is not a folder", "folder"),
    ("verify EMPTY", 1, "no readable", "agentrooms swarm run"),
    ("verify RUN --expect-head abc", 2, "--expect-head: 'abc' is not a head", "64 hexadecimal digits"),
    ("replay RUN --at 100000", 1, "was 100000", ""),
    ("replay RUN --at x", 2, "--at: 'x' is not a whole number", "write one from 0"),
    ("replay RUN --follow --json", 2, "--follow plays the chat", "leave out"),
    ("fork RUN --at 100000 --set agent.a.strategy=patient --out new", 1, "event 100000 is not in", ""),
    ("fork RUN --at 60 --set patient --out new", 2, "--set 'patient' is not a change", "agent.ID.strategy=patient"),
    ("fork RUN --at 60 --set agent.zzz.strategy=patient --out new", 1, "'zzz' means no agent", "replay"),
    ("fork RUN --at 60 --set agent.jp.strategy=lazy --out new", 1, "'lazy' is not a strategy", "patient"),
    ("fork RUN --at 60 --out new", 2, "--set is missing", "fork --help"),
    ("compare RUN nowhere", 2, "B: nowhere does not exist", ""),
    ("export RUN --format xls --out new", 2, "--format: 'xls' is not known", "one of ndjson, csv, parquet"),
    ("export RUN --format csv --table sales --out new", 1, "'sales' is not a table", "deals"),
    ("export RUN --format csv --table mandates --out new", 1, "private", "private"),
    ("bench --seeds 1,x", 2, "--seeds: 'x' is not a whole number", "1,2,3"),
    ("jobs list --queue mail", 2, "--queue: 'mail' is not known", "notifications"),
    ("jobs retry", 2, "name one job", "jobs list --state dead"),
    ("up --preset tulips", 2, "--preset: 'tulips' is not a preset", "balanced_market"),
    ("up --speed 0", 2, "--speed: '0' is not a speed", "1, 10 and max"),
    ("up --speed fast", 2, "--speed: 'fast' is not a speed", "1, 10 and max"),
]


IDS = [case[0] for case in WRONG]


@pytest.fixture
def place(run_a: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run commands in, with an archive RUN, a folder EMPTY and a file FILE."""
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("")
    (tmp_path / "RUN").symlink_to(run_a)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_lines(stderr: str, error: str, hint: str) -> None:
    """Checks that there is one error line, perhaps a hint, and nothing else."""
    said = stderr.splitlines()
    assert [text for text in said if text.startswith("error: ")] == said[:1]
    assert error in said[0]
    assert len(said) <= 2
    assert not hint or (said[1].startswith("hint: ") and hint in said[1])


@pytest.mark.parametrize(("line", "code", "error", "hint"), WRONG, ids=IDS)
def test_a_wrong_value_gives_one_line_and_a_hint(
    line: str, code: int, error: str, hint: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.run(line.split()) == code
    done = capsys.readouterr()
    check_lines(done.err, error, hint)
    assert done.out == ""
    assert not (place / "new").exists()


@pytest.mark.parametrize(("line", "code", "error", "hint"), WRONG[::6], ids=IDS[::6])
def test_a_process_ends_so_too(line: str, code: int, error: str, hint: str, place: Path) -> None:
    done = agentrooms(*line.split(), code=code, cwd=place)
    check_lines(done.stderr, error, hint)
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["--help", "up --once", "swarm run small_test --seed 7", "doctor"])
def test_without_assertions_nothing_runs(command: str) -> None:
    done = agentrooms(*command.split(), code=1, env=environment(PYTHONOPTIMIZE="1"))
    check_lines(done.stderr, "python -O takes out the assertions that guard money; run without -O", "")
    assert done.stdout == ""


def test_without_assertions_the_engine_is_not_even_imported() -> None:
    for module in ("agentrooms.sim.engine", "agentrooms.chain.ledger", "agentrooms.domain.money"):
        done = subprocess.run(
            [sys.executable, "-O", "-c", f"import {module}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "AgentroomsError: python -O" in done.stderr.splitlines()[-1]


def test_an_unexpected_fault_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("agentrooms.sim.settings.PRESETS", None)
    assert entry.run(["swarm", "presets"]) == 70
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: AttributeError: ")
    assert "AGENTROOMS_DEBUG=1" in hint


def test_an_unexpected_fault_shows_its_traceback_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrooms.sim.settings.PRESETS", None)
    monkeypatch.setenv("AGENTROOMS_DEBUG", "1")
    with pytest.raises(AttributeError):
        entry.run(["swarm", "presets"])


@pytest.mark.parametrize("arguments", ["--help", "replay RUN", "replay RUN --json", "swarm run small_test --seed 7"])
def test_a_reader_that_goes_away_is_no_error(arguments: str, run_a: Path) -> None:
    command = arguments.replace("RUN", str(run_a))
    done = subprocess.run(
        ["bash", "-c", f"'{AGENTROOMS}' {command} | head -1"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=60,
    )
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_reports_have_no_escape_codes(name: str, run_a: Path) -> None:
    env = environment(**({"NO_COLOR": "1", "FORCE_COLOR": "1"} if name == "NO_COLOR" else {"TERM": "xterm-256color"}))
    done = agentrooms("replay", run_a, "--at", "90", env=env)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_narrow_encoding_shows_question_marks(run_a: Path) -> None:
    done = agentrooms("replay", run_a, env=environment(PYTHONIOENCODING="ascii"))
    assert "? " in done.stdout


def test_presets() -> None:
    listed = json.loads(agentrooms("swarm", "presets", "--json").stdout)
    assert {"preset": "balanced_market", "buyers": 5, "sellers": 5} in listed
    assert "high_competition" in agentrooms("swarm", "presets").stdout
