"""Telling others what was appended, without waiting for them: a bounded queue that may drop.

Who needs every event reads the log; this is for those who want it soon.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from agentrooms.events.store import Positioned

FRAMES_MAX = 10_000  # events that wait; later ones are dropped
CLOSE_TIMEOUT_S = 5

Publish = Callable[[list[Positioned]], None]


class Frames:
    """Hands events to `publish` in order, on a thread of its own.

    `dropped` counts the events that found no room, `failed` those whose publication raised.
    """

    def __init__(self, publish: Publish, frames_max: int = FRAMES_MAX) -> None:
        self._publish, self._frames_max = publish, frames_max
        self._batches: deque[list[Positioned]] = deque()
        self._waiting = 0
        self._closing = False
        self._changed = threading.Condition()
        self.dropped = self.failed = 0
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def offer(self, events: Sequence[Positioned]) -> None:
        """Queues events, or drops those that find no room. Returns at once."""
        with self._changed:
            room = max(0, self._frames_max - self._waiting)
            taken = list(events[:room])
            self.dropped += len(events) - len(taken)
            if taken:
                self._batches.append(taken)
                self._waiting += len(taken)
                self._changed.notify()

    def close(self) -> None:
        """Publishes what waits, for at most CLOSE_TIMEOUT_S, and ends."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._batches and not self._closing:
                    self._changed.wait()
                if not self._batches:
                    return
                batch = [event for events in self._batches for event in events]  # one way to Redis for all of them
                self._batches.clear()
                self._waiting = 0
            try:
                self._publish(batch)
            except Exception:  # noqa: BLE001 -- whoever listens must not be able to stop the log
                self.failed += len(batch)
