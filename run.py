#!/usr/bin/env python3
"""Set up and run this project: `python3 run.py VERB [arguments]`.

    up [arguments]     start the program (`agentrooms up`)
    test [arguments]   run the tests
    coverage           run all tests with lines measured, and fail below the gate
    check              formatting, lint and types
    cli [arguments]    any other `agentrooms` command
    build              build the wheel into dist/
    lock [arguments]   write requirements/main.lock anew (`--upgrade` takes newer versions)
    setup              only prepare .venv

Every verb first prepares .venv when it is missing or out of date.
"""

# Standard library only, and no syntax newer than Python 3.7: this file runs before anything is installed,
# and an old Python has to get as far as the message that says it is too old.

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

try:
    import fcntl
except ImportError:  # Windows: two set-ups at once are then not kept apart.
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
STAMP = VENV / "agentrooms.stamp"
LOCK = ROOT / "requirements" / "main.lock"
PYPROJECT = ROOT / "pyproject.toml"
# One process more than cores, for many tests wait; those that share a cluster or a system stay together in one.
WHOLE_SUITE = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "loadgroup"]
MEASURED = [*WHOLE_SUITE, "--cov", "--cov-report=term-missing:skip-covered"]
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class Failure(Exception):
    """Something a person has to mend; shown as one line and a hint, without a traceback."""

    def __init__(self, message: str, hint: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


def say(text: str, end: str = "\n") -> None:
    """Tell the person what happens; on stderr, so that the output of `cli` can be piped."""
    print(text, end=end, file=sys.stderr, flush=True)


# --- Set-up ---------------------------------------------------------------------------------------------


def require_python() -> None:
    """Refuse a Python that is too old, and name a newer one if this machine has it."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    newer = next((name for minor in (13, 12, 11) for name in [f"python3.{minor}"] if shutil.which(name)), None)
    hint = f"try `{newer} run.py`" if newer else "install a newer Python and call run.py with it"
    raise Failure(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}", hint)


def require_venv_module() -> None:
    """Some systems ship Python without the parts that make an environment."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            package = f"python3.{sys.version_info.minor}-venv"
            raise Failure(
                f"this Python has no `{module}` module, so it cannot make .venv",
                f"install it (Debian, Ubuntu: `apt install {package}`) or use another Python",
            )


def wanted_stamp() -> list[str]:
    """What .venv is made from: line 1 decides on a rebuild, line 2 on installing this project again.

    The folder counts because scripts in a venv hold absolute paths; the lock counts in line 1 because pip
    would leave packages behind that a new lock no longer names.
    """
    base = hashlib.sha256(LOCK.read_bytes())
    base.update("\0".join([sys.version, sys.base_prefix, str(ROOT)]).encode())
    return [base.hexdigest(), hashlib.sha256(PYPROJECT.read_bytes()).hexdigest()]


def present_stamp() -> list[str]:
    """Return the lines of the stamp; none if set-up never got that far or the interpreter is gone."""
    if not PYTHON.exists() or not STAMP.exists():
        return []
    return STAMP.read_text(encoding="ascii").split()


def run_step(name: str, command: list[str], hint: str) -> None:
    """Run one command of the set-up; what it says is shown only if it fails."""
    started = time.monotonic()
    say(f"  {name} ... ", end="")
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        say("failed\n" + done.stdout.decode(errors="replace").rstrip())
        raise Failure(f"could not {name} (exit {done.returncode})", hint)
    say(f"{time.monotonic() - started:.1f} s")


def pip(*arguments: str) -> list[str]:
    """Return a pip command that asks nothing and says little."""
    return [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        *arguments,
    ]


def make_environment() -> None:
    """Make .venv from nothing with exactly the locked packages, each checked against its hash."""
    require_venv_module()
    run_step(
        "make .venv",
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        "see the message above; is there room on the disk?",
    )
    run_step(
        "install the locked packages",
        pip("--require-hashes", "--requirement", str(LOCK)),
        "see pip's message above; does `pip download pip` work on this machine?",
    )


def install_project() -> None:
    """Install this folder in place.

    Not isolated: the build backend is in the lock too, so nothing comes in unchecked.
    """
    run_step(
        "install agentrooms",
        pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT)),
        "see pip's message above; is pyproject.toml sound?",
    )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let a second run.py wait while the first sets up; the lock goes with the process that holds it."""
    with (ROOT / ".venv.lock").open("a") as handle:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("  waiting for another run.py to finish its set-up")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def set_up() -> None:
    """Bring .venv up to date; costs two small hashes when it already is."""
    wanted = wanted_stamp()
    if present_stamp() == wanted:
        return
    with one_at_a_time():
        present = present_stamp()  # Again: the other process may have done the work meanwhile.
        if present == wanted:
            return
        if present[:1] != wanted[:1]:
            make_environment()
        STAMP.write_text(wanted[0] + "\n", encoding="ascii")  # If the next step is cut short, it is due again.
        install_project()
        STAMP.write_text("\n".join(wanted) + "\n", encoding="ascii")


# --- Verbs ----------------------------------------------------------------------------------------------


def become(command: list[str]) -> NoReturn:
    """Turn into the command, so that signals and the exit code are its own."""
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    sys.exit(subprocess.run(command, check=False).returncode)


def module(name: str, *arguments: str) -> list[str]:
    """Return the command for a Python module of .venv."""
    return [str(PYTHON), "-m", name, *arguments]


def up(arguments: list[str]) -> NoReturn:
    """Start the program."""
    cli(["up", *arguments])


def cli(arguments: list[str]) -> NoReturn:
    """Run an `agentrooms` command in the caller's folder, where its relative paths belong."""
    become([str(BIN / "agentrooms"), *arguments])


def test(arguments: list[str]) -> NoReturn:
    """Run everything, or just what the arguments ask for."""
    os.chdir(ROOT)
    become(module("pytest", *(arguments or WHOLE_SUITE)))


def coverage(_arguments: list[str]) -> NoReturn:
    """Run everything under the coverage gate; measuring takes twice the time of all the rest."""
    os.chdir(ROOT)
    become(module("pytest", *MEASURED))


def check(_arguments: list[str]) -> NoReturn:
    """Run all three tools even if the first complains: one round shows all there is to mend."""
    os.chdir(ROOT)
    failed = []
    for name, command in (
        ("formatting", module("ruff", "format", "--check", "--output-format=concise", ".")),
        ("lint", module("ruff", "check", "--quiet", ".")),
        ("types", module("mypy", "--no-error-summary")),
    ):
        started = time.monotonic()
        passed = subprocess.run(command, check=False).returncode == 0
        say(f"  {name}: {'ok' if passed else 'FAILED'}, {time.monotonic() - started:.1f} s")
        if not passed:
            failed.append(name)
    if "formatting" in failed:
        say("  hint: `.venv/bin/ruff check --fix` and `.venv/bin/ruff format` rewrite the files")
    sys.exit(1 if failed else 0)


def lock(arguments: list[str]) -> NoReturn:
    """Resolve for every platform and Python from the oldest on; no address of any registry is written."""
    os.chdir(ROOT)
    options = [
        "--universal",
        f"--python-version={OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}",
        "--generate-hashes",
        "--no-emit-index-url",
        "--custom-compile-command=python3 run.py lock",
        "--group=dev",
        "--quiet",
    ]
    become(
        module(
            "uv",
            "pip",
            "compile",
            *options,
            *arguments,
            "--output-file",
            str(LOCK.relative_to(ROOT)),
            PYPROJECT.name,
        )
    )


def build(arguments: list[str]) -> NoReturn:
    """Build the wheel with the locked backend."""
    os.chdir(ROOT)
    become(module("build", "--wheel", "--no-isolation", *arguments))


def setup(_arguments: list[str]) -> NoReturn:
    """Do nothing more: the set-up has happened."""
    say("  .venv is ready")
    sys.exit(0)


VERBS: dict[str, Callable[[list[str]], NoReturn]] = {
    "up": up,
    "test": test,
    "coverage": coverage,
    "check": check,
    "cli": cli,
    "build": build,
    "lock": lock,
    "setup": setup,
}
WITHOUT_ARGUMENTS = {"check", "coverage", "setup"}


def chosen_verb(arguments: list[str]) -> str:
    """Return the verb, or say what is wrong before any time is spent on set-up."""
    if not arguments or arguments[0] not in VERBS:
        given = f"no such verb: {arguments[0]}" if arguments else "a verb is missing"
        raise Failure(given, f"one of {', '.join(VERBS)}; `python3 run.py --help` explains them", EXIT_USAGE)
    verb, *rest = arguments
    if verb in WITHOUT_ARGUMENTS and rest:
        raise Failure(f"`{verb}` takes no arguments, was given: {' '.join(rest)}", "leave them out", EXIT_USAGE)
    return verb


def main(arguments: list[str]) -> NoReturn:
    """Find the verb, set up, go."""
    if arguments[:1] in (["-h"], ["--help"], ["help"]):
        print(__doc__, end="")
        sys.exit(0)
    verb = chosen_verb(arguments)
    require_python()
    set_up()
    VERBS[verb](arguments[1:])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        say(f"error: {failure}\nhint: {failure.hint}")
        sys.exit(failure.exit_code)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
