"""run.py: clear words when something is missing, nothing done twice, nothing half done."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script() -> ModuleType:
    """Load run.py as a module of its own, so that a test may change it."""
    spec = importlib.util.spec_from_file_location("run_py", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call run.py as a person would."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_verb(script: ModuleType) -> None:
    """Nothing hidden."""
    done = call("--help")
    assert done.returncode == 0
    assert [verb for verb in script.VERBS if f"\n    {verb} " not in done.stdout] == []


@pytest.mark.parametrize("arguments", [(), ("tset",), ("check", "extra")])
def test_wrong_use_is_two_lines_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    """An error and a hint, no traceback."""
    done = call(*arguments)
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_an_old_python_is_refused(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.setattr(script, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(script.Failure, match="newer is needed"):
        script.main(["setup"])


def test_a_python_without_ensurepip_is_told_what_to_install(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian ships it as a package of its own."""
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else True)
    with pytest.raises(script.Failure, match="ensurepip") as caught:
        script.require_venv_module()
    assert "-venv" in caught.value.hint


def test_a_failed_step_shows_what_the_tool_said(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """And only then."""
    with pytest.raises(script.Failure, match=r"could not do it \(exit 3\)"):
        script.run_step("do it", [sys.executable, "-c", "print('so it is'); raise SystemExit(3)"], "a hint")
    assert "so it is" in capsys.readouterr().err


def test_set_up_does_only_what_is_due(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing when all is equal; the project for a new pyproject.toml; everything for a new lock."""
    done: list[str] = []
    for name in ("VENV", "STAMP", "PYTHON", "LOCK", "PYPROJECT", "ROOT"):
        monkeypatch.setattr(script, name, tmp_path / name.lower())
    script.ROOT.mkdir()
    for path in (script.PYTHON, script.LOCK, script.PYPROJECT):
        path.write_text("one")
    monkeypatch.setattr(script, "make_environment", lambda: done.append("environment"))
    monkeypatch.setattr(script, "install_project", lambda: done.append("project"))

    script.set_up()
    script.set_up()
    script.PYPROJECT.write_text("two")
    script.set_up()
    script.LOCK.write_text("two")
    script.set_up()

    assert done == ["environment", "project", "project", "environment", "project"]


def test_a_set_up_cut_short_is_taken_up_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp claims no more than what was done."""
    for name in ("VENV", "STAMP", "PYTHON", "LOCK", "PYPROJECT", "ROOT"):
        monkeypatch.setattr(script, name, tmp_path / name.lower())
    script.ROOT.mkdir()
    for path in (script.PYTHON, script.LOCK, script.PYPROJECT):
        path.write_text("one")
    monkeypatch.setattr(script, "make_environment", lambda: None)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "install_project", interrupted)
    with pytest.raises(KeyboardInterrupt):
        script.set_up()

    assert script.present_stamp() == script.wanted_stamp()[:1]
