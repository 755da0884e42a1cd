"""Every error this project raises on purpose has one base class.

A message says what happened, with the values, and what to do about it.
"""

from __future__ import annotations

UNGUARDED = "python -O takes out the assertions that guard money; run without -O and without PYTHONOPTIMIZE"


class AgentroomsError(Exception):
    """Base of all errors raised on purpose; `hint` says how to mend it (may be empty)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidInput(AgentroomsError):
    """A value from outside (a person, a file, another program) is not usable as given."""


class Rejection(AgentroomsError):
    """A decider refuses a command; nothing has changed."""
