"""What the documentation names exists: tests, files, sections, events."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentrooms.events.catalogue import CATALOGUE
from agentrooms.events.docs import EXAMPLES, example, example_line, page
from agentrooms.events.record import decode_line
from tests.docs.blocks import DOCS, ROOT

PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
GENERATED_BY_COMMANDS = {"runs", "tables"}  # folders the examples write

_TEST = re.compile(r"\btests/[\w/]+\.py(?:::\w+)?")
_PATH = re.compile(r"`((?:agentrooms|docs|requirements|tests)/[\w./-]*)`")
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
_MACHINE = re.compile(r"/(?:work|home|root|tmp|Users)/")


def prose(path: Path) -> str:
    """Returns a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_named_on_a_page_exist(path: Path) -> None:
    """A guarantee that names a test which is gone promises nothing."""
    if path.parent.name == "how-to":  # they name tests that their steps make; running them checks those
        return
    missing = []
    for name in _TEST.findall(path.read_text(encoding="utf-8")):
        file, _, function = name.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).exists() else ""
        wanted = rf"^\s*(?:async )?(?:def|class) {function}\b|^{function} = " if function else r"\S"
        if re.search(wanted, source, flags=re.MULTILINE) is None:
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_named_on_a_page_exist(path: Path) -> None:
    wrong = []
    for target, anchor in _LINK.findall(prose(path)):
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            wrong.append(f"{target}#{anchor}")
    wrong += [name for name in _PATH.findall(prose(path)) if not (ROOT / name).exists()]
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_no_machine(path: Path) -> None:
    assert _MACHINE.findall(path.read_text(encoding="utf-8")) == []


def test_every_page_is_in_the_index() -> None:
    listed = {(DOCS / target).resolve() for target, _anchor in _LINK.findall(prose(DOCS / "README.md")) if target}
    records = {
        (DOCS / "adr" / target).resolve() for target, _anchor in _LINK.findall(prose(DOCS / "adr" / "README.md"))
    }
    pages = {path for path in PAGES if path.is_relative_to(DOCS)} - {DOCS / "README.md"}
    assert pages - listed - records == set()


# --- The event catalogue ---------------------------------------------------------------------------------


def test_the_event_catalogue_is_up_to_date() -> None:
    """Run `python -m agentrooms.events.docs > docs/events.md`."""
    assert (DOCS / "events.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_an_example_is_a_line_of_the_log(entry: object) -> None:
    """Examples decode to the event they show."""
    assert entry in CATALOGUE
    known = next(e for e in CATALOGUE if e is entry)

    recorded = decode_line(example_line(known))

    assert (recorded.type, recorded.event) == (known.name, example(known))


def test_every_example_value_is_used() -> None:
    """A value for a field that no event has is left over from a change."""
    text = page()
    fields = {name.rpartition(".")[2] for name in EXAMPLES}
    assert {field for field in fields if f"`{field}`" not in text} == set()
