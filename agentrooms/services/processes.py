"""Knowing our own server processes: by name and working directory, which they set to their data folder.

A process number alone says nothing: after a crash or a restart of the machine it may belong to anything.
"""

from __future__ import annotations

from pathlib import Path

import psutil

LINES_SHOWN = 5


def works_in(pid: int, program: str, folder: Path) -> bool:
    """Says whether the process runs the program in the folder (resolved)."""
    try:
        process = psutil.Process(pid)
        return process.name().startswith(program) and Path(process.cwd()) == folder
    except (psutil.Error, OSError):
        return False


def all_in(program: str, folder: Path) -> list[int]:
    """Returns the numbers of all processes that run the program in the folder (resolved)."""
    return [pid for pid in psutil.pids() if works_in(pid, program, folder)]


def last_lines(text: str) -> str:
    """Returns the end of what a program said, on one line, for an error message."""
    return " / ".join(text.strip().splitlines()[-LINES_SHOWN:])
