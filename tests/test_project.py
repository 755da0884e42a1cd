"""The project keeps its own rules: layers, purity, sizes, and a lock that names no registry."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "agentrooms"
LOCK = ROOT / "requirements" / "main.lock"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_MAX = 450

# From top to bottom. A layer may import the layers below it; those in one row may not import each other.
LAYERS = [
    ["cli"],
    ["bench", "chaos"],
    ["client"],
    ["api"],
    ["live"],
    ["jobs"],
    ["sim"],
    ["projections"],
    ["actors"],
    ["chain", "language"],
    ["consensus"],
    ["accounts"],
    ["events"],
    ["services"],
    ["domain"],
    ["errors"],
]
DEPTH = {name: depth for depth, row in enumerate(LAYERS) for name in row}
ENTRY_POINTS = {"__init__", "__main__"}  # directly below agentrooms/; they may import anything

PURE = ["domain", "consensus"]
IMPURE_MODULES = {
    "asyncio",
    "datetime",
    "eventsourcing",
    "fastapi",
    "httpx",
    "io",
    "os",
    "pathlib",
    "psycopg",
    "random",
    "ray",
    "redis",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid",
}

# In parts, so that this file itself names none.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("npmmirror", "com"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
    ]
]
NOT_OURS = {"__pycache__", "build", "dist", "htmlcov", "node_modules", "runs"}
HIDDEN_BUT_OURS = {".ci", ".github"}


def dotted(path: Path) -> list[str]:
    """Return a module's name in parts, below `agentrooms`; a package's own file ends in `__init__`."""
    return list(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the full dotted name of all that a module imports, anywhere in it, relative imports resolved.

    `from a import b` yields `a.b`, since b may be a module.
    """
    package = ["agentrooms", *dotted(path)[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = [*parents, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def wrong_imports(path: Path) -> list[str]:
    """Return the imports of a module that do not point downwards."""
    own = dotted(path)[0]
    if len(dotted(path)) == 1 and own in ENTRY_POINTS:
        return []
    inner = [name for name in imports(path) if name.startswith("agentrooms.")]
    targets = {name: name.split(".")[1] for name in inner}
    return sorted(
        name for name, target in targets.items() if target in DEPTH and target != own and DEPTH[target] <= DEPTH[own]
    )


def our_files() -> Iterator[Path]:
    """Yield every file of the project, committed or about to be."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in NOT_OURS and (not name.startswith(".") or name in HIDDEN_BUT_OURS)
        ]
        yield from (Path(folder, name) for name in files if not name.startswith(".coverage"))


def lock_entries() -> dict[str, str]:
    """Return each locked package's name with all the text of its entry."""
    text = re.sub(r"^\s*#.*\n", "", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.split("==")[0]: entry for entry in entries}


def direct_dependencies() -> dict[str, list[str]]:
    """Return the names under the headings of docs/dependencies.md they belong to."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {
        "At run time": project["project"]["dependencies"],
        "For development": project["dependency-groups"]["dev"],
    }
    return {
        heading: sorted(re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines) for heading, lines in wanted.items()
    }


# --- Layers and purity ----------------------------------------------------------------------------------


def test_every_module_belongs_to_a_layer() -> None:
    """A new sub-package must be given its place."""
    homeless = {dotted(path)[0] for path in MODULES} - set(DEPTH) - ENTRY_POINTS
    assert homeless == set()


def test_imports_point_downwards() -> None:
    """No layer knows those above it or beside it."""
    wrong = {str(path.relative_to(ROOT)): bad for path in MODULES if (bad := wrong_imports(path))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from agentrooms.events import store", ["agentrooms.events.store"]),
        ("from .. import sim", ["agentrooms.sim"]),
        ("def f():\n    import agentrooms.cli.main", ["agentrooms.cli.main"]),
        ("from . import money\nfrom ..errors import Rejection\nfrom agentrooms import __version__", []),
    ],
)
def test_the_layer_check_sees_every_kind_of_import(
    code: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that finds nothing proves something only if it could."""
    module = tmp_path / "domain" / "example.py"
    module.parent.mkdir()
    module.write_text(code)
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    assert wrong_imports(module) == expected


def test_the_pure_core_imports_no_clock_randomness_or_outside_world() -> None:
    """Deciders see only what they are given, or runs would not repeat."""
    impure = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        if dotted(path)[0] in PURE
        for name in imports(path)
        if name.split(".")[0] in IMPURE_MODULES
    }
    assert impure == set()


def test_one_module_at_most_imports_the_event_store_library() -> None:
    """The library stays replaceable."""
    users = {str(path) for path in MODULES for name in imports(path) if name.split(".")[0] == "eventsourcing"}
    assert len(users) <= 1, users


# --- Shape ----------------------------------------------------------------------------------------------


def test_modules_are_short() -> None:
    """A long module is several modules."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > LINES_MAX} == {}


def test_public_names_are_sorted() -> None:
    """Every `__all__` is in the linter's order: constants, classes, the rest."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=RUF022", str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_types_are_published() -> None:
    """Without the marker, users' type checkers would ignore our annotations."""
    assert (PACKAGE / "py.typed").is_file()


# --- Lock and dependencies ------------------------------------------------------------------------------


def test_lock_names_no_registry() -> None:
    """Where packages come from is the business of each machine."""
    text = LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    assert re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", text, flags=re.MULTILINE) is None


def test_every_locked_package_has_an_exact_version_and_a_hash() -> None:
    """One entry without would let anything in."""
    entry_form = re.compile(r"[a-z0-9-]+==[^\s;]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [name for name, entry in lock_entries().items() if not entry_form.fullmatch(entry)] == []


def test_every_direct_dependency_is_locked() -> None:
    """Run `python3 run.py lock` after changing pyproject.toml."""
    direct = {name for names in direct_dependencies().values() for name in names}
    assert direct - set(lock_entries()) == set()


def test_every_direct_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    """docs/dependencies.md and pyproject.toml agree, heading by heading."""
    documented: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            documented[line.removeprefix("## ")] = []
        elif match := re.match(r"\| `([^`]+)` \|", line):
            documented[list(documented)[-1]].append(match[1])
    assert documented == direct_dependencies()


def test_no_locked_package_is_under_the_agpl() -> None:
    """Its terms would reach over the network to our users' own code."""
    fields = ("License-Expression", "License", "Classifier")
    locked = lock_entries()
    terms = {}
    for distribution in metadata.distributions():
        name = distribution.name.lower().replace("_", "-")
        if name in locked:
            about = distribution.metadata
            terms[name] = " ".join(text for field in fields for text in about.get_all(field, []))
    assert terms
    assert [name for name, text in terms.items() if re.search(r"AGPL|Affero", text)] == []


def test_no_file_names_a_package_registry() -> None:
    """The same for every other file, be it code, notebook or page."""
    found = {
        f"{path.relative_to(ROOT)}: {host}"
        for path in our_files()
        for host in REGISTRY_HOSTS
        if host.encode() in path.read_bytes().lower()
    }
    assert found == set()
