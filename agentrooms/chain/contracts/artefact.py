"""Compiled contracts, as committed: `artefacts/<name>.json`. Running them needs no compiler."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.errors import InvalidInput

FOLDER = Path(__file__).parent
ARTEFACTS = FOLDER / "artefacts"
NAMES = ("Collection", "Escrow", "TestUsdc")


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled contract; code in hex without 0x. Constructor arguments are appended to `initcode`."""

    name: str
    compiler: str
    evm_version: str
    source_sha256: str
    abi: list[dict[str, Any]]
    initcode: str
    runtime: str


@cache
def load(name: str) -> Artefact:
    """Returns the artefact of a contract. Raises InvalidInput for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise InvalidInput(f"no contract is called {name[:80]!a}", hint=f"one of {', '.join(NAMES)}")
    return msgspec.json.decode((ARTEFACTS / f"{name}.json").read_bytes(), type=Artefact)
