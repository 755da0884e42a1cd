"""A clock that moves when told."""

from __future__ import annotations


class Clock:
    """Milliseconds since 1970; call it for the time."""

    def __init__(self, ms: int = 1_800_000_000_000) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms

    def pass_s(self, seconds: float) -> None:
        """Lets time pass."""
        self.ms += int(seconds * 1_000)
