"""The wheel alone is enough: built, installed elsewhere, and used from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMAND_SECONDS_MAX = 300


def run(*command: str | Path, folder: Path) -> str:
    """Run a command and return its output; the surrounding test run must not reach into it."""
    hidden = ("COVERAGE_", "PYTHONPATH", "AGENTROOMS_", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """An environment of its own that holds the wheel, and an empty folder to use it from."""

    bin: Path
    folder: Path

    def agentrooms(self, *arguments: str) -> str:
        """Call the installed command."""
        return run(self.bin / "agentrooms", *arguments, folder=self.folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this folder."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, folder=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel where only the dependencies of this environment are visible, not this project.

    The path in a .pth file comes last, and .pth files behind it (ours: the editable install) are not read.
    """
    venv = tmp_path_factory.mktemp("a place") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, folder=venv.parent)
    python = venv / "bin" / "python"
    site_packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", folder=venv).strip())
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "dependencies.pth").write_text("\n".join(sorted(dependencies)) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=venv)
    folder = venv.parent / "empty folder"
    folder.mkdir()
    return Installed(venv / "bin", folder)


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    """Data files are as much part of it as code."""
    package = ROOT / "agentrooms"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    assert held == expected
    assert {"LICENSE", "NOTICE", "METADATA", "entry_points.txt"} <= about


def test_the_installed_package_is_the_one_that_runs(installed: Installed) -> None:
    """Otherwise the other tests here would test this folder."""
    where = run(
        installed.bin / "python",
        "-c",
        "import agentrooms; print(agentrooms.__file__)",
        folder=installed.folder,
    )
    assert Path(where.strip()).is_relative_to(installed.bin.parent)


def test_the_installed_command_knows_its_version(installed: Installed) -> None:
    """What `--version` says is what the wheel is called."""
    assert "0.1.0" in installed.agentrooms("--version")


def test_a_swarm_runs_and_verifies_from_an_empty_folder(installed: Installed) -> None:
    """Presets and data come from the wheel, results go where the user is."""
    installed.agentrooms("swarm", "run", "small_test", "--seed", "7", "--out", "a")
    assert (installed.folder / "a").is_dir()
    installed.agentrooms("verify", "a")
