"""What `agentrooms doctor` looks at. Each check is a function of its own and never raises."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from importlib import metadata
from itertools import zip_longest
from pathlib import Path

import msgspec

OLDEST_PYTHON = (3, 11)
FREE_MB_MIN = 100  # below it a run may not be written whole
COLUMNS_MIN, ROWS_MIN = 80, 24
GOLDEN_SEED = 7

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*(.*?)\s*(?:;.*)?$")
_CLAUSE = re.compile(r"(>=|==|<)\s*([0-9.]+?)(?:\.\*)?$")


class Health(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report; `hint` says how to mend it."""

    name: str
    health: Health
    found: str
    hint: str = ""


def examine() -> list[Finding]:
    """Returns all findings. A check that breaks is a failure, not a traceback."""
    checks: list[Callable[[], Finding]] = [_python, _packages, _signatures, _data, _tiny_run, _terminal, _disk]
    findings = []
    for check in checks:
        name = check.__name__.strip("_").replace("_", " ")
        try:
            findings.append(check())
        except Exception as error:  # noqa: BLE001 - whatever is broken here is the finding
            broken = f"{type(error).__name__}: {error}"
            findings.append(Finding(name, Health.FAIL, broken, "install anew: `python3 run.py up` repairs .venv"))
    return findings


def meets(version: str, wanted: str) -> bool:
    """Tells whether a version meets clauses such as ">=1.0" or "==9.5.*"."""
    for clause in filter(None, wanted.split(",")):
        found = _CLAUSE.match(clause.strip())
        if found is None:
            continue  # a form this project does not use
        sign, text = found.groups()
        have, want = _numbers(version), _numbers(text)
        pairs = list(zip_longest(have, want, fillvalue=0))
        order = 0 if not pairs else next((a - b for a, b in pairs if a != b), 0)
        holds = {">=": order >= 0, "<": order < 0, "==": have[: len(want)] == want}
        if not holds[sign]:
            return False
    return True


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", version.split("+", maxsplit=1)[0])]


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", Health.FAIL, found, "install Python 3.11 or newer")
    return Finding("python", Health.OK, found)


def _packages() -> Finding:
    wrong, count = [], 0
    for requirement in metadata.requires("agentrooms") or []:
        match = _REQUIREMENT.match(requirement)
        if match is None or "extra ==" in requirement:
            continue
        name, wanted = match.groups()
        count += 1
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not meets(version, wanted):
            wrong.append(f"{name} {version} is not {wanted}")
    if wrong:
        return Finding("packages", Health.FAIL, "; ".join(wrong), "`python3 run.py up` installs what is locked")
    return Finding("packages", Health.OK, f"{count} packages as needed, agentrooms {metadata.version('agentrooms')}")


def _signatures() -> Finding:
    from agentrooms.domain.keys import derive_key, public_hex, sign, verify

    key = derive_key(b"doctor".ljust(16, b"."), "doctor", "self-test")
    signature = sign(key, b"message")
    right = verify(public_hex(key), b"message", signature)
    wrong = verify(public_hex(key), b"another", signature)
    if not right or wrong:
        return Finding("signatures", Health.FAIL, "Ed25519 does not sign and verify", "reinstall PyNaCl")
    return Finding("signatures", Health.OK, "Ed25519 signs, verifies, and refuses another message")


def _data() -> Finding:
    from agentrooms.sim import sales

    found = f"{sales.DATA_FILE}, {len(sales.load_sales()):,} sales"
    if sales.data_hash() != sales.SHIPPED_SHA256:
        return Finding("data", Health.FAIL, f"{found}: not the file that was shipped", "reinstall agentrooms")
    return Finding("data", Health.OK, f"{found}, hash as shipped")


def _tiny_run() -> Finding:
    hashes = {_run_hash(), _run_hash()}
    if len(hashes) != 1:
        hint = "please report this with `agentrooms doctor --json`"
        return Finding("tiny run", Health.FAIL, f"seed {GOLDEN_SEED} gave two different logs", hint)
    return Finding("tiny run", Health.OK, f"small_test, seed {GOLDEN_SEED}: twice the same bytes, {hashes.pop()[:16]}…")


def _run_hash() -> str:
    from agentrooms.sim import archive
    from agentrooms.sim.engine import Engine
    from agentrooms.sim.settings import preset

    engine = Engine(preset("small_test", GOLDEN_SEED))
    engine.run()
    return hashlib.sha256(b"\n".join(archive.lines_of(engine))).hexdigest()


def _terminal() -> Finding:
    from agentrooms.cli.console import out

    screen = out()
    if not screen.is_terminal:
        return Finding("terminal", Health.OK, f"none (a pipe or a file), {screen.encoding}")
    colours = screen.color_system or "no colours"
    found = f"{screen.width} x {screen.height}, {colours}, {screen.encoding}"
    if "utf" not in screen.encoding.lower():
        return Finding("terminal", Health.WARN, found, "export LANG=C.UTF-8 to see avatars")
    if screen.width < COLUMNS_MIN or screen.height < ROWS_MIN:
        return Finding("terminal", Health.WARN, found, f"`agentrooms up` wants {COLUMNS_MIN} x {ROWS_MIN}")
    return Finding("terminal", Health.OK, found)


def _disk() -> Finding:
    here = Path.cwd()
    free_mb = shutil.disk_usage(here).free // 1_000_000
    if not os.access(here, os.W_OK):
        return Finding("disk", Health.WARN, f"{here} cannot be written", "give --out a folder that can")
    if free_mb < FREE_MB_MIN:
        return Finding("disk", Health.WARN, f"{free_mb:,} MB free", f"free {FREE_MB_MIN} MB for archives")
    return Finding("disk", Health.OK, f"{free_mb:,} MB free in {here}")
