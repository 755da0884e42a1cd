"""Agentrooms: autonomous agents negotiate NFT trades in rooms; every step is an event that anyone can replay."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agentrooms.errors import AgentroomsError

if TYPE_CHECKING:
    from agentrooms.sim.run import Run

__version__ = "0.1.0"
__all__ = ["AgentroomsError", "Run", "__version__"]


def __getattr__(name: str) -> object:
    """Imports `Run`, and polars with it, when it is first asked for."""
    if name == "Run":
        return import_module("agentrooms.sim.run").Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
