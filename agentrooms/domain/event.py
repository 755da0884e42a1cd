"""The base of all events: frozen values that say what happened, in the past tense."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False):
    """A fact. Field names and meanings are storage format: change them only with a new version and an upcast.

    Values cannot form cycles, so the garbage collector need not walk logs of millions of them.
    """
