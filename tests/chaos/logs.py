"""What must hold of a log when a system has come to rest."""

from __future__ import annotations

from agentrooms.chaos.oracle import check_log
from agentrooms.events.store import EventStore


def assert_sound(store: EventStore) -> None:
    """Chains are whole, rooms closed, locks ended once, and each command had one effect."""
    assert check_log(store.read()) == []
