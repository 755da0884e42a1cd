"""What this process watches: each room is folded once for all its watchers.

The log is the truth. Redis brings new events soon; whatever does not follow what is there is read from the log, and
the log is looked at now and then anyway. So a frame that is lost, doubled or late changes nothing, nor does a Redis
that is away: then the log is looked at more often.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from redis import RedisError
from redis import TimeoutError as RedisTimeout
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agentrooms.actors.broadcast import channel
from agentrooms.actors.progress_board import Shown, progress_key
from agentrooms.api.problems import Problem
from agentrooms.api.sockets.feed import RESUMED_MAX, Feed
from agentrooms.api.sockets.fold import RoomFold
from agentrooms.api.sockets.outbox import Close, Outbox
from agentrooms.errors import AgentroomsError
from agentrooms.events.journal import fence
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import EventStore, Positioned, StoreError
from agentrooms.events.tags import chain_tag

POLL_S = 0.25  # between two looks at the log while Redis is away
CHECK_S = 2.0  # and while it is there: a frame may have been dropped on its way
RETRY_S = 0.5  # before Redis, or a database that did not answer, is tried again
CONNECT_S = 2.0
IDLE_S = 60.0  # how long a room without watchers is kept
ROOMS_MAX = 500  # rooms watched at once
FRESH_S = 1.0  # how long a room is kept at least for who has asked for it
READS_MAX = 3  # of one room for one client, when it is let go again before the client watches it
PAGE_EVENTS = 2_000  # one read of the log
LOADERS = 2  # rooms read from their beginning at once
OWN_CHANNEL = "agentrooms:hub"  # keeps the subscription open while no room is watched

log = logging.getLogger(__name__)


class _Frame(msgspec.Struct, frozen=True):
    """What the log writer publishes (actors/broadcast.py), with the line as it is: `null` for a private event."""

    position: int
    chain: str
    seq: int
    line: msgspec.Raw


_FRAME = msgspec.json.Decoder(_Frame)
_SHOWN = msgspec.json.Decoder(Shown)


class Hub:
    """The rooms that clients of this process watch. All of it runs in one event loop; reads of the log in threads."""

    def __init__(self, store: EventStore, redis_url: str | None, *, look_s: float, idle_s: float) -> None:
        """The log is looked at every `look_s` at least; a room without watchers is kept for `idle_s`."""
        self._store = store
        self._redis_url = redis_url
        self._look_s, self._idle_s = look_s, idle_s
        self._feeds: dict[str, Feed] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._heard: defaultdict[str, list[tuple[int, Recorded]]] = defaultdict(list)
        self._channels: dict[bytes, str] = {}  # of progress, to the room
        self._gone: list[str] = []  # rooms to hear of no longer
        self._subscription: PubSub | None = None
        self._subscribing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._look_now = asyncio.Event()
        self._looking = asyncio.Lock()
        self._reader = ThreadPoolExecutor(1, "sockets-log")
        self._loader = ThreadPoolExecutor(LOADERS, "sockets-rooms")
        self.redis_is_here = False
        self.looks = 0  # at the log, so far

    @property
    def rooms(self) -> int:
        """How many rooms are held."""
        return len(self._feeds)

    def heads(self, rooms: Iterable[str]) -> dict[str, int]:
        """Returns the last event of each room that is held."""
        return {room: self._feeds[room].fold.seq for room in rooms if room in self._feeds}

    async def start(self) -> None:
        """Begins to follow the log."""
        self._tasks.append(asyncio.create_task(self._look_on(), name="sockets-look"))
        if self._redis_url is not None:
            self._tasks.append(asyncio.create_task(self._listen_on(self._redis_url), name="sockets-listen"))

    async def stop(self) -> None:
        """Follows the log no longer."""
        tasks = [*self._tasks, *self._loading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def watch(self, room: str, watcher: Outbox, after: int | None, log_id: str | None) -> dict[str, object]:
        """Lets a client watch a room; returns where it is. Raises Problem when there is no such room, or no place."""
        feed = await self._feed(room)
        if after is not None and after > feed.fold.seq:  # it comes from a process that has seen more
            await self._look()
            feed = await self._feed(room)
        return feed.attach(watcher, after, log_id)

    def unwatch(self, room: str, watcher: Outbox) -> None:
        """Lets a client watch a room no longer."""
        feed = self._feeds.get(room)
        if feed is not None:
            feed.detach(watcher, asyncio.get_running_loop().time())

    async def _feed(self, room: str) -> Feed:
        for _ in range(READS_MAX):
            feed = self._feeds.get(room)
            if feed is not None:
                return feed
            await asyncio.shield(self._loading.get(room) or self._begin(room))
        feed = self._feeds.get(room)
        if feed is None:
            raise _crowded()
        return feed

    def _begin(self, room: str) -> asyncio.Task[None]:
        if len(self._feeds) + len(self._loading) >= ROOMS_MAX and not self._drop_idle(FRESH_S):
            raise _crowded()
        task = self._loading[room] = asyncio.create_task(self._load(room))
        task.add_done_callback(_seen)
        return task

    async def _load(self, room: str) -> None:
        try:
            feed = await asyncio.get_running_loop().run_in_executor(self._loader, _read_room, self._store, room)
        except StoreError as error:
            raise Problem(503, "the log cannot be read now", hint="try again in a moment") from error
        except AgentroomsError as error:
            log.exception("a room cannot be shown", extra={"room": room})
            raise Problem(500, "the room's log cannot be read by this version") from error
        finally:
            self._loading.pop(room, None)
        if feed is None:
            raise Problem(404, "there is no such room", hint="GET /rooms lists those there are")
        feed.idle_since_s = asyncio.get_running_loop().time()
        self._feeds[room] = feed
        self._channels[progress_key(room).encode()] = room
        async with self._subscribing:
            with contextlib.suppress(RedisError, OSError):  # whoever listens will notice, and subscribe again
                if self._subscription is not None:
                    await self._subscription.subscribe(*_channels(room))
        self._look_now.set()

    async def _look_on(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s if self.redis_is_here else POLL_S):
                    await self._look_now.wait()
            self._look_now.clear()
            try:
                await self._look()
                self._drop_idle(self._idle_s)
                await self._unsubscribe()
            except Problem:
                await asyncio.sleep(RETRY_S)
            except Exception:
                log.exception("looking at the log failed")  # and goes on: all rooms depend on it
                await asyncio.sleep(RETRY_S)

    async def _look(self) -> None:
        """Reads what was appended to watched rooms since the last look. Raises Problem when the log cannot be read."""
        loop = asyncio.get_running_loop()
        async with self._looking:
            while self._feeds:
                feeds = list(self._feeds.values())
                after = min(feed.scanned for feed in feeds)
                self.looks += 1
                try:
                    found, scanned = await loop.run_in_executor(self._reader, self._read, [f.id for f in feeds], after)
                except StoreError as error:
                    raise Problem(503, "the log cannot be read now", hint="try again in a moment") from error
                self._take(found)
                for feed in feeds:
                    feed.scanned = max(feed.scanned, scanned)
                if len(found) < PAGE_EVENTS:
                    return

    def _read(self, rooms: list[str], after: int) -> tuple[list[Positioned], int]:
        """Returns events of rooms behind a position, and up to where there are no others of them."""
        head = self._store.head()
        if head <= after:
            return [], after
        found = self._store.read(tuple(item for room in rooms for item in fence(room)), after=after, limit=PAGE_EVENTS)
        full = len(found) == PAGE_EVENTS
        return found, found[-1].position if full else max([head, *(one.position for one in found[-1:])])

    def _take(self, found: list[Positioned]) -> None:
        by_tag = {chain_tag(room): feed for room, feed in self._feeds.items()}
        of_room: defaultdict[str, list[Positioned]] = defaultdict(list)
        for one in found:
            for tag in one.event.tags:
                if tag in by_tag:
                    of_room[by_tag[tag].id].append(one)
        for room, events in of_room.items():
            feed = self._feeds[room]
            try:
                feed.publish(feed.fold.read(events))
            except Exception:
                log.exception("a room's log does not go on as it was read; it is read anew", extra={"room": room})
                self._lose(feed)

    def _lose(self, feed: Feed) -> None:
        """Has a room read anew: the fold is ahead of what its watchers got, or another's."""
        self._let_go(feed)
        for watcher in list(feed.watchers):
            watcher.drop(Close.LAGGED, "the room's log has changed, join again")

    def _drop_idle(self, idle_s: float) -> int:
        """Lets rooms go that nobody has watched for so long; returns how many."""
        now_s = asyncio.get_running_loop().time()
        idle = [f for f in self._feeds.values() if not f.watchers and now_s - f.idle_since_s >= idle_s]
        for feed in idle:
            self._let_go(feed)
        return len(idle)

    def _let_go(self, feed: Feed) -> None:
        del self._feeds[feed.id]
        del self._channels[progress_key(feed.id).encode()]
        self._gone.append(feed.id)

    async def _unsubscribe(self) -> None:
        async with self._subscribing:
            gone, self._gone = [room for room in self._gone if room not in self._feeds], []
            if gone and self._subscription is not None:
                with contextlib.suppress(RedisError, OSError):  # a new subscription will be without them
                    await self._subscription.unsubscribe(*(name for room in gone for name in _channels(room)))

    async def _listen_on(self, redis_url: str) -> None:
        client = Redis.from_url(
            redis_url, socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
        )
        try:
            while True:
                try:
                    await self._listen(client)
                except (RedisError, OSError) as error:
                    if self.redis_is_here:
                        log.warning("Redis is away, the log is looked at instead: %s", error)
                except Exception:
                    log.exception("listening to Redis failed")  # and begins again: the log tells what was missed
                self.redis_is_here = False
                self._look_now.set()
                await asyncio.sleep(RETRY_S)
        finally:
            await client.aclose()

    async def _listen(self, client: Redis) -> None:
        """Hears frames until the connection breaks."""
        async with client.pubsub() as subscription:
            await subscription.subscribe(OWN_CHANNEL)
            if await subscription.get_message(timeout=CONNECT_S) is None:
                raise RedisTimeout(f"no answer in {CONNECT_S:g} s")
            try:
                async with self._subscribing:  # a room that is being read finds the subscription, or is among these
                    self._subscription = subscription
                    if self._feeds:
                        await subscription.subscribe(*(name for room in self._feeds for name in _channels(room)))
                self._redis_hears()
                async for message in subscription.listen():
                    if message["type"] == "message":
                        self._hear(message["channel"], message["data"])
                    elif message["type"] == "subscribe":
                        self._redis_hears()
            finally:
                self._subscription = None

    def _redis_hears(self) -> None:
        """Has the log looked at: from a subscription on nothing is missed; before it, something may be."""
        self.redis_is_here = True
        self._look_now.set()

    def _hear(self, name: bytes, data: bytes) -> None:
        room = self._channels.get(name)
        try:
            if room is not None:
                self._feeds[room].hear(_SHOWN.decode(data))
                return
            frame = _FRAME.decode(data)
            feed = self._feeds.get(frame.chain)
            if feed is None or frame.seq <= feed.fold.seq:
                return
            if bytes(frame.line) == b"null":  # a private one: its number alone does not fold a room
                self._look_now.set()
                return
            recorded = decode_line(bytes(frame.line))
        except (msgspec.DecodeError, AgentroomsError):
            log.warning("a frame that cannot be read is left out")
            self._look_now.set()
            return
        if not self._heard:
            asyncio.get_running_loop().call_soon(self._flush)
        self._heard[frame.chain].append((frame.position, recorded))

    def _flush(self) -> None:
        """Sends what was heard in one go: a round comes as one burst."""
        heard, self._heard = self._heard, defaultdict(list)
        for room, events in heard.items():
            feed = self._feeds.get(room)
            if feed is None:
                continue
            try:
                self._go_on(feed, events)
            except Exception:  # the log is what it is for the other rooms
                log.exception("what was heard of a room cannot be shown; it is read anew", extra={"room": room})
                self._lose(feed)

    def _go_on(self, feed: Feed, events: list[tuple[int, Recorded]]) -> None:
        """Sends those events that follow; has the log looked at for others."""
        new, seq, prev = [], feed.fold.seq, feed.fold.hash
        for position, one in events:
            if one.seq == seq + 1 and one.prev == prev:
                new.append((position, one))
                seq, prev = one.seq, one.hash
            elif one.seq > seq:
                self._look_now.set()
                break
        if new:
            feed.fold.take([one for _, one in new], new[-1][0])
            feed.publish([one for _, one in new])


def _crowded() -> Problem:
    return Problem(503, f"{ROOMS_MAX} rooms are watched already", hint="try again in a moment")


def _seen(task: asyncio.Task[None]) -> None:
    """Looks at how a room's reading ended: its watchers may all have left by then."""
    if not task.cancelled():
        task.exception()


def _channels(room: str) -> tuple[str, str]:
    return channel(room), progress_key(room)


def _read_room(store: EventStore, room: str) -> Feed | None:
    """Returns a room as far as its log goes now, None when there is none."""
    fold, recent = RoomFold(room), deque[Recorded](maxlen=RESUMED_MAX)
    head = store.head()
    while True:
        page = store.read(fence(room), after=fold.position, limit=PAGE_EVENTS)
        recent.extend(fold.read(page))
        if len(page) < PAGE_EVENTS:
            break
    if not fold.seq:
        return None
    feed = Feed(fold, recent)
    feed.scanned = max(head, feed.scanned)
    return feed
