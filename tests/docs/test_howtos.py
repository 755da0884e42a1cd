"""The how-tos and the tutorial do what they say."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, ROOT, Block, blocks, carry_out, edit, not_printed, run, unreadable

CHANGING = ["add-a-narration-style", "add-a-strategy", "add-an-event"]
USING = ["how-to/replay-and-fork", "how-to/verify-an-archive", "tutorial"]
# Need a running system, or somebody elsewhere; tests of their own.
SERVED = ["use-the-api", "watch-a-room"]  # tests/client/test_howtos.py carries them out
SHOWN = [*SERVED, "back-up-and-restore", "chaos", "deploy", "run-a-live-system", "run-a-verifier", "settle-on-a-chain"]
COPIED = ["agentrooms", "docs", "tests", "pyproject.toml"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project, so that a how-to can change it; compiled modules come along to save their making."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", CHANGING)
def test_a_how_to_that_changes_the_project_works_on_a_copy(name: str, copy: Path) -> None:
    carry_out(DOCS / "how-to" / f"{name}.md", copy, python_path=copy)


@pytest.mark.parametrize("name", USING)
def test_the_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    page = DOCS / f"{name}.md"

    said = carry_out(page, tmp_path)

    assert said
    assert not_printed(page, said) == [], "no longer printed: put what is printed now in its place"


def test_the_readme_shows_what_one_sees() -> None:
    readme = ROOT / "README.md"
    (command,) = re.findall(r"`(agentrooms replay [^`]*--follow)`", readme.read_text(encoding="utf-8"))

    said = run(Block(readme, 1, "sh", {}, f"{command} --speed 1000"), ROOT, ROOT)

    assert not_printed(readme, said) == [], "no longer printed: put what is printed now in its place"


def test_a_line_that_is_not_printed_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('```text output="yes"\nprice  … USDC\nnobody left\n```\n')

    assert not_printed(page, "the price is   48 USDC\n") == ["nobody left"]


def test_every_how_to_is_carried_out() -> None:
    pages = {page.stem for page in (DOCS / "how-to").glob("*.md")}

    assert pages == {*CHANGING, *SHOWN, *(name.removeprefix("how-to/") for name in USING if name.startswith("how-to/"))}


def test_commands_that_are_only_shown_can_be_read() -> None:
    """They name commands and options that are there."""
    for name in SHOWN:
        text = (DOCS / "how-to" / f"{name}.md").read_text(encoding="utf-8")
        shown = {" ".join(line.split()) for line in re.findall(r"^\s*(agentrooms [^\n#|>]*)", text, re.MULTILINE)}
        for line in sorted(shown):
            assert unreadable(shlex.split(line)[1:]) is None, line


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"insert-after": "^two"}, "one\ntwo\nNEW\nthree\n"),
        ({"insert-before": "^two"}, "one\nNEW\ntwo\nthree\n"),
        ({"replace": "two$"}, "one\nNEW\nthree\n"),
    ],
)
def test_an_edit_goes_where_it_says(attributes: dict[str, str], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("one\ntwo\nthree\n")

    edit(file, Block(DOCS / "page.md", 1, "text", {"title": "file.txt", **attributes}, "NEW\n"))

    assert file.read_text() == expected


def test_a_marker_that_is_gone_fails_with_its_place(tmp_path: Path) -> None:
    """Otherwise a how-to would rot unseen."""
    (tmp_path / "file.txt").write_text("one\n")
    block = Block(DOCS / "page.md", 7, "text", {"title": "file.txt", "replace": "two"}, "NEW\n")

    with pytest.raises(AssertionError, match=r"page\.md:7: 'two' matches 0 lines"):
        edit(tmp_path / "file.txt", block)


def test_every_block_of_a_how_to_is_of_a_known_kind() -> None:
    """A misspelt attribute would turn a step into mere text."""
    known = {"title", "insert-after", "insert-before", "output", "replace", "replace-table", "run"}
    for page in [*(DOCS / "how-to").glob("*.md"), DOCS / "tutorial.md"]:
        for block in blocks(page):
            assert set(block.attributes) <= known, block.place
            assert block.language in {"sh", "text"} or "title" in block.attributes, block.place
