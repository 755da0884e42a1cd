"""Whose lines are measured: those of this process, and of processes that it starts, unless told otherwise here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

PREFIX = "COVERAGE_PROCESS"  # of the variables by which a process knows that its lines are to be measured


@contextmanager
def children_unmeasured() -> Iterator[None]:
    """Has processes that are started within the block not measured: many make it take long."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    try:
        yield
    finally:
        os.environ.update(kept)
