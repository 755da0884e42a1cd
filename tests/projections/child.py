"""Projects or rebuilds in a process of its own, which a test may kill: `child.py project|rebuild DSN SCHEMA FILE`.

The file holds the log: one JSON array of [type, data, tags] a line. A line is printed after each batch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import Condition, StoredEvent
from agentrooms.projections.projector import Projector
from agentrooms.projections.rebuild import rebuild

BATCH_EVENTS = 40


def main() -> None:
    """Does what the command line says."""
    what, dsn, schema, file = sys.argv[1:]
    store = MemoryEventStore()
    rows = msgspec.json.decode(Path(file).read_bytes(), type=list[tuple[str, bytes, tuple[str, ...]]])
    store.append([StoredEvent(*row) for row in rows], Condition((), 0))
    if what == "rebuild":
        rebuild(store, dsn, schema, lambda position, _head: print(position, flush=True))
        return
    projector = Projector(store, dsn, schema, batch_events=BATCH_EVENTS)
    while projector.step():
        print(projector.position, flush=True)


if __name__ == "__main__":
    main()
