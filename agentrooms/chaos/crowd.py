"""All that watch in one seed, and the network between them and the API: in one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from agentrooms.chaos.polling import PollingWatcher
from agentrooms.chaos.relay import LOOPBACK, Relay
from agentrooms.chaos.seen import Seen
from agentrooms.chaos.watchers import EngineIoWatcher, FeedWatcher, RawWatcher, SlowWatcher, Speaker, Watcher, texts_of
from agentrooms.client.exchange import Session

KINDS = (
    "feed",
    "raw",
    "slow",
    "socket.io",
    "speaker",
    "feed, signed in",
    "raw, from now on",
    "feed, from now on",
    "polling",
)
TEXTS = 4  # that each person says; more than ten in a minute are refused
END_S = 30.0
T = TypeVar("T")


class Crowd:
    """Clients of rooms by turns. They begin with `start` and watch until `close`."""

    def __init__(
        self, targets: Sequence[int], rooms: Sequence[str], people: Sequence[Session], seed: int, size: int
    ) -> None:
        """`targets` are the ports of the API's processes."""
        drawn = random.Random(seed)  # noqa: S311 - no secret
        self.steady = [Relay(target, drawn, losing=False) for target in targets]
        self.losing = [Relay(target, drawn, losing=True) for target in targets]
        self.watchers: list[Watcher] = []
        self.wallets: dict[str, str] = {}
        """Of those who speak, by name."""
        self._make = [(KINDS[n % len(KINDS)], rooms[n // 2 % len(rooms)], n) for n in range(size)]
        self._people = people
        self._seed = seed
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)

    @property
    def relays(self) -> list[Relay]:
        """All of them."""
        return [*self.steady, *self.losing]

    @property
    def seen(self) -> list[Seen]:
        """What each has seen."""
        return [watcher.seen for watcher in self.watchers]

    def start(self) -> None:
        """Lets all begin."""
        self._thread.start()
        self.run(self._start())

    def close(self) -> None:
        """Ends them."""
        if self._thread.is_alive():
            self.run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns what comes of work in the crowd's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, work: Callable[[], T]) -> T:
        """Returns what a call in the crowd's loop returns."""

        async def called() -> T:
            return work()

        return self.run(called())

    def has_all(self, heads: Mapping[str, int]) -> bool:
        """Tells whether all have seen their room up to its head, or something is wrong with who has not."""
        return all(seen.faults or seen.last == heads[seen.room] for seen in self.seen)

    def has_said_all(self) -> bool:
        """Tells whether everyone who speaks knows that all is said."""
        return all(one.has_said_all or one.seen.faults for one in self.watchers if isinstance(one, Speaker))

    def ends(self) -> Counter[str]:
        """Returns how connections ended, over all."""
        return sum((watcher.ends for watcher in self.watchers), Counter())

    async def _start(self) -> None:
        for relay in self.relays:
            await relay.start()
        self.watchers = [self._watcher(kind, room, number) for kind, room, number in self._make]
        self._tasks = [asyncio.create_task(self._watch(watcher)) for watcher in self.watchers]

    async def _watch(self, watcher: Watcher) -> None:
        try:
            await watcher.run()
        except Exception as error:  # noqa: BLE001 - it is reported with the seed
            watcher.seen.fault(f"gave up: {error!r}")

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for relay in self.relays:
            await relay.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _watcher(self, kind: str, room: str, number: int) -> Watcher:
        seen = Seen(f"client {number} ({kind})", room)
        drawn = random.Random(f"{self._seed}/{number}")  # noqa: S311 - no secret
        steady, losing = _urls(self.steady), _urls(self.losing)
        person = self._people[number // len(KINDS) % len(self._people)]  # those who speak are not all the same
        match kind:
            case "feed":
                return FeedWatcher(seen, losing, drawn, None, 0)
            case "feed, signed in":
                return FeedWatcher(seen, losing, drawn, person, 0)
            case "feed, from now on":
                return FeedWatcher(seen, losing, drawn, None, None)
            case "raw":
                return RawWatcher(seen, steady, drawn, 0)
            case "raw, from now on":
                return RawWatcher(seen, steady, drawn, None)
            case "slow":
                return SlowWatcher(seen, steady, drawn, 0)
            case "socket.io":
                return EngineIoWatcher(seen, steady, drawn, 0)
            case "polling":
                return PollingWatcher(seen, steady, drawn)
        assert kind == "speaker", kind
        self.wallets[seen.who] = person.wallet.lower()
        return Speaker(seen, steady, drawn, person.access, texts_of(number, TEXTS))


def _urls(relays: Sequence[Relay]) -> list[str]:
    return [f"http://{LOOPBACK}:{relay.port}" for relay in relays]
