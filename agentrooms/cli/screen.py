"""Shows a live room until it closes or the watcher has seen enough: a screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from agentrooms.cli.console import out
from agentrooms.cli.feed import Feed, Wake
from agentrooms.cli.lines import Kind, Line, rich_line
from agentrooms.cli.live import render

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a service manager, a terminal that was closed


class Patience:
    """How long somebody watches: until one of SIGNALS, or so many seconds at most."""

    def __init__(self, stop: threading.Event, seconds: float | None) -> None:
        self._stop = stop
        self._until = time.monotonic() + seconds if seconds is not None else None

    def at_most(self, seconds: float | None) -> Patience:
        """Returns the same patience with so many seconds from now on."""
        return Patience(self._stop, seconds)

    def goes(self) -> bool:
        """Tells whether to go on."""
        return not self._stop.is_set() and (self._until is None or time.monotonic() < self._until)

    def left_s(self) -> float:
        """Returns how many seconds are left."""
        return max(0.0, self._until - time.monotonic()) if self._until is not None else 3_600.0

    def wait(self, seconds: float) -> bool:
        """Waits, and tells whether to go on."""
        self._stop.wait(min(seconds, self.left_s()))
        return self.goes()


@contextmanager
def interruptible(seconds: float | None = None) -> Iterator[Patience]:
    """Turns SIGNALS into the end of patience, so that nothing is cut in its middle. A second one does cut."""
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            _cut(number, frame)
        stop.set()

    with _handled(end):
        yield Patience(stop, seconds)


@contextmanager
def cut_short() -> Iterator[None]:
    """Lets any of SIGNALS cut the block as Ctrl-C does: what it has begun is ended on the way out."""
    with _handled(_cut):
        yield


def _cut(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Has SIGNALS handled in the block. A process that shall outlive its terminal (nohup) still does."""
    numbers = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_screen() -> bool:
    """Tells whether standard output can show a screen."""
    screen = out()
    return screen.is_terminal and not screen.is_dumb_terminal and "utf" in screen.encoding.lower()


def show(
    feed: Feed,
    wake: Wake,
    patience: Patience,
    about: str,
    *,
    screen: bool,
    spoken: Callable[[], None] = lambda: None,
) -> bool:
    """Shows the room; tells whether it came to its end. `spoken` is called once, when an agent has spoken."""
    for lines in _shown(feed, wake, patience, about) if screen else _printed(feed, wake, patience):
        if any(line.kind is Kind.SAID for line in lines):
            spoken()
            spoken = lambda: None  # noqa: E731 - once
    return feed.over


def _printed(feed: Feed, wake: Wake, patience: Patience) -> Iterator[list[Line]]:
    while patience.goes():
        new = feed.read()
        for line in (*new, *feed.hear(wake.progress())):
            out().print(rich_line(line, rounds=True), soft_wrap=True)
        sys.stdout.flush()
        yield new
        if feed.over:
            return
        wake.wait(patience.left_s())


def _shown(feed: Feed, wake: Wake, patience: Patience, about: str) -> Iterator[list[Line]]:
    from rich.live import Live

    with Live(render(feed.scene(about)), console=out(), screen=True, auto_refresh=False) as live:
        while patience.goes():
            new = feed.read()
            feed.hear(wake.progress())
            live.update(render(feed.scene(about)), refresh=True)
            yield new
            if feed.over:
                return
            wake.wait(patience.left_s())
