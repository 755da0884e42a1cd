"""A failing property test ends with one line that fails the same way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAILING = """
from hypothesis import given, strategies as st

@given(st.integers(0, 10**6))
def test_small(number):
    assert number < 1_000
    print("unused")

def test_plain():
    raise AssertionError
"""


def run(folder: Path, *arguments: str) -> str:
    """The output of pytest over the failing tests, with an example database of its own."""
    shutil.rmtree(folder / ".hypothesis", ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_the_line_names_test_and_seed_and_replays_the_same_examples(tmp_path: Path) -> None:
    """Run without a seed, then with what the line says: the same failing number, and no line for plain tests."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(FAILING)
    first = run(tmp_path)
    lines = re.findall(r"^.*python3 run\.py test .*$", first, flags=re.MULTILINE)
    (line,) = lines
    match = re.fullmatch(
        r"(?:\w+=\w+ )?python3 run\.py test (test_it\.py::test_small) (--hypothesis-seed=[0-9]+)", line
    )
    assert match is not None, line
    again = run(tmp_path, *match.groups())
    assert re.findall("number=[0-9]+", again) == re.findall("number=[0-9]+", first)
    assert line in again
