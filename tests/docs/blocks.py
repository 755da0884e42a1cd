"""Reads the fenced blocks of a page and carries them out.

A block's info string holds its language and attributes. What happens with it:

    sh                              run as a script in the work folder, stopping at the first failure
    sh run="no"                     shown only: it needs a terminal, or does not end
    LANG title="path"               becomes the file
    LANG title="path" insert-after="regex"     goes behind the one line that matches
    LANG title="path" insert-before="regex"    goes before the one line that matches
    LANG title="path" replace="regex"          takes the place of the one line that matches
    LANG title="path" replace-table="name"     takes the place of that TOML table
    text output="yes"               lines that the page's commands print; blanks do not count, … stands for anything
    anything else                   shown only
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from agentrooms.cli.app import command

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
STEP_TIMEOUT_S = 120

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<attributes>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is where it begins in its page."""

    page: Path
    line: int
    language: str
    attributes: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        """Where the block stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Returns the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            dict(_ATTRIBUTE.findall(found["attributes"])),
            found["text"],
        )
        for found in _FENCE.finditer(text)
    ]


def not_printed(page: Path, said: str) -> list[str]:
    """Returns the lines a page shows as output that are not in what its commands printed."""
    printed = " ".join(said.split())
    shown = [b.text for b in blocks(page) if b.attributes.get("output") == "yes"]
    return [line for text in shown for line in text.splitlines() if re.search(_pattern(line), printed) is None]


def _pattern(line: str) -> str:
    parts = (" ".join(part.split()) for part in line.split("…"))
    return ".*?".join(map(re.escape, parts))


def carry_out(page: Path, folder: Path, python_path: Path = ROOT) -> str:
    """Carries out all blocks of a page in a folder; returns what its commands printed."""
    said = []
    for block in blocks(page):
        if "title" in block.attributes:
            edit(folder / block.attributes["title"], block)
        elif block.language == "sh" and block.attributes.get("run") != "no":
            said.append(run(block, folder, python_path))
    return "".join(said)


def run(block: Block, folder: Path, python_path: Path) -> str:
    """Runs a block's commands, with this environment's programs first on the path. Fails with what they said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=folder,
        env={**kept, "PATH": path, "PYTHONPATH": str(python_path), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{block.place} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def edit(file: Path, block: Block) -> None:
    """Writes or changes a file as the block says."""
    how = {name: value for name, value in block.attributes.items() if name != "title"}
    if not how:
        assert not file.exists(), f"{block.place} would overwrite {file.name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        return
    ((kind, marker),) = how.items()
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    first, last = _table(lines, marker, block) if kind == "replace-table" else _line(lines, marker, block)
    match kind:
        case "insert-after":
            first = last
        case "insert-before":
            last = first
        case _:
            assert kind in {"replace", "replace-table"}, f"{block.place}: unknown attribute {kind}"
    lines[first:last] = [block.text]
    file.write_text("".join(lines), encoding="utf-8")


def _line(lines: list[str], marker: str, block: Block) -> tuple[int, int]:
    found = [n for n, line in enumerate(lines) if re.search(marker, line.rstrip("\n"))]
    assert len(found) == 1, f"{block.place}: {marker!r} matches {len(found)} lines of {block.attributes['title']}"
    return found[0], found[0] + 1


def _table(lines: list[str], name: str, block: Block) -> tuple[int, int]:
    first = _line(lines, rf"^\[{re.escape(name)}\]$", block)[0]
    rest = (n for n in range(first + 1, len(lines)) if lines[n].startswith("["))
    return first, next(rest, len(lines))


def unreadable(words: list[str]) -> str | None:
    """Returns the word of a command line that names no command or option of ours, None when all do."""
    found, rest = command(), list(words)
    while rest and hasattr(found, "commands"):
        name = rest.pop(0)
        if name not in found.commands:
            return name
        found = found.commands[name]
    options = {"--help", "-h", *(option for param in found.params for option in (*param.opts, *param.secondary_opts))}
    return next((word for word in rest if word.startswith("-") and word.split("=")[0] not in options), None)
