"""The entry point: runs a command and turns every failure into one line and an exit code.

Codes: 0 done, 1 understood but failed, 2 wrong usage, 70 a fault of this program, 130 Ctrl-C,
141 the reader of a pipe went away. Only small modules are imported at the top: Ctrl-C during the
start must not meet a traceback either.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from agentrooms.errors import UNGUARDED

FAILED, USAGE, FAULT, INTERRUPTED, PIPE_CLOSED = 1, 2, 70, 130, 141
DEBUG = "AGENTROOMS_DEBUG"


def main() -> NoReturn:
    """Runs the command of the process's arguments and exits with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code."""
    if not __debug__:  # no other module can be imported then
        sys.stderr.write(f"error: {UNGUARDED}\n")
        return FAILED
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = PIPE_CLOSED
    if code == INTERRUPTED:
        _say("interrupted")
    if code == PIPE_CLOSED:  # the interpreter flushes at its end and must not fail on it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(arguments: list[str]) -> int:
    from agentrooms.cli.app import command
    from agentrooms.cli.console import prepare_streams
    from agentrooms.errors import AgentroomsError

    prepare_streams()
    try:
        result = command().main(args=arguments, prog_name="agentrooms", standalone_mode=False)
    except AgentroomsError as error:
        return _fail(str(error), error.hint)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's own, in every version of it
            return _usage(error)
        if os.environ.get(DEBUG):
            raise
        return _fail(
            f"{type(error).__name__}: {error}",
            f"a fault of agentrooms; run again with {DEBUG}=1 for the traceback",
            FAULT,
        )
    return result if isinstance(result, int) else 0


def _usage(error: Exception) -> int:
    """Reports a command line that cannot be read."""
    from agentrooms.cli.params import explain

    return _fail(*explain(error), USAGE)


def _fail(message: str, hint: str = "", code: int = FAILED) -> int:
    _say(f"error: {message}")
    if hint:
        _say(f"hint: {hint}")
    return code


def _say(text: str) -> None:
    """Writes one line on standard error; nobody may be reading it."""
    from agentrooms.cli.console import clean

    try:
        sys.stderr.write(clean(" ".join(text.split())) + "\n")
        sys.stderr.flush()
    except OSError:
        pass
