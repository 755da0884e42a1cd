"""Nodes in this process for tests of the adapter: with and without blocks by themselves, and memories that fail."""

from __future__ import annotations

from collections.abc import Mapping

from agentrooms.events.vault import MemoryVault, Vault


class Killed(Exception):
    """The process ends here."""


class Mortal:
    """A memory whose process dies around its n-th write: before it, or after it but before anybody hears of it."""

    def __init__(self, memory: Vault, writes: int, *, after: bool) -> None:
        self._memory = memory
        self._left = writes
        self._after = after

    def put(self, key: str, secret: bytes) -> None:
        self.put_many({key: secret})

    def put_many(self, secrets: Mapping[str, bytes]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        self._memory.put_many(secrets)
        if self._left == 0:
            raise Killed

    def get(self, key: str) -> bytes:
        return self._memory.get(key)

    def export(self) -> bytes:
        return self._memory.export()


def writes_of(memory: MemoryVault) -> int:
    """How many entries a memory has."""
    return memory.export().count(b"\n")
