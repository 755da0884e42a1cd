"""Runs the installed command as a process of its own, as a user does."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentrooms.cli import main as entry
from tests.measuring import PREFIX

AGENTROOMS = str(Path(sys.executable).with_name("agentrooms"))
TIMEOUT_S = 60


def environment(**extra: str) -> dict[str, str]:
    """Returns this process's environment without what would change colours or widths, and with `extra`."""
    unwanted = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "AGENTROOMS_DEBUG", "PYTHONHASHSEED"}
    return {**{name: value for name, value in os.environ.items() if name not in unwanted}, **extra}


def uncovered(**extra: str) -> dict[str, str]:
    """Returns the same for a command that starts a cluster: its many processes are not measured, which takes long."""
    return {name: value for name, value in environment(**extra).items() if not name.startswith(PREFIX)}


def agentrooms(
    *arguments: str | Path | int,
    code: int | None = 0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command and returns what it wrote; its exit code must be `code` unless that is None."""
    done = subprocess.run(
        [AGENTROOMS, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
        cwd=cwd,
        env=dict(env) if env is not None else environment(),
        input=stdin,
        preexec_fn=before,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def said(*arguments: str | Path | int, code: int = 0) -> tuple[str, str]:
    """Runs a command in this process, which is quicker, and returns what it wrote on standard output and error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _stream in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        got = entry.run([*map(str, arguments)])
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
    texts = out.read(), err.read()
    assert got == code, (got, *texts)
    return texts


def document(*arguments: str | Path | int, code: int = 0) -> Any:
    """Runs a command with --json in this process, which is quicker, and returns its one document."""
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(written):
        assert entry.run([*map(str, arguments), "--json"]) == code
    written.seek(0)
    return json.load(written)
