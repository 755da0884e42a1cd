"""Watches live rooms and swarms, and gives rooms the orders that make each swarm what it is said to be.

What a swarm is said to be (running, paused, stopping) is compared with what the log of its room shows; the
room is told the difference until there is none. So nothing is lost when a message is, or a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agentrooms.actors import messages
from agentrooms.domain import swarm as swarms
from agentrooms.domain.room import RoomOpened
from agentrooms.domain.swarm import Swarm, SwarmEvent, SwarmPaused, SwarmStarted
from agentrooms.events.journal import Journal
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import EventStore, QueryItem
from agentrooms.events.tags import chain_tag, swarm_tag
from agentrooms.events.transact import transact
from agentrooms.events.vault import Vault
from agentrooms.live import deeds
from agentrooms.live.watching import WATCHED, Order, WatchedRoom, WatchedSwarm, is_alive, own_room

RESEND_MS = 5_000  # an order without outcome is given again; its id makes that harmless
PAGE = 5_000  # events read at once


class Overseer:
    """Rooms and swarms by id. A completed swarm is watched until the room it opened for itself has closed."""

    def __init__(
        self,
        platform: Journal,
        vault: Vault,
        tell: Callable[[str, messages.Message], None],
        clock_ms: Callable[[], int],
    ) -> None:
        self.rooms: dict[str, WatchedRoom] = {}
        self.swarms: dict[str, WatchedSwarm] = {}
        self._platform = platform
        self._store: EventStore = platform.store
        self._vault = vault
        self._tell = tell
        self._clock_ms = clock_ms
        self._seen = 0  # position up to which rooms have been watched
        self._learned = 0  # seq up to which the platform's chain has been
        self._told_ms: dict[str, int] = {}  # when an order, or a room's pace, was last given

    def recover(self, history: Iterable[Recorded]) -> None:
        """Finds the rooms that are open and the swarms that are not done with, as the log has them."""
        for recorded in history:
            self.learn(recorded, watching=False)
        opened: dict[str, RoomOpened] = {}
        closed: set[str] = set()
        for found in self._store.read((QueryItem(types=("room.closed", "room.opened")),)):
            recorded = decode_line(found.event.data)
            if isinstance(recorded.event, RoomOpened):
                opened[recorded.chain] = recorded.event
            else:
                closed.add(recorded.chain)
        for id_, swarm in list(self.swarms.items()):
            if not is_alive(swarm) and not (swarm.own_room and swarm.state.room in opened.keys() - closed):
                del self.swarms[id_]
            else:
                self._muster(swarm)
        wanted = {swarm.state.room for swarm in self.swarms.values()}
        for room, event in opened.items():
            if room not in closed or room in wanted:
                self.watch(event)
        self.look()
        self._forget()

    def learn(self, recorded: Recorded, *, watching: bool = True) -> None:
        """Takes one event of the platform's chain into account, once."""
        if recorded.seq <= self._learned:
            return
        self._learned = recorded.seq
        event = recorded.event
        if isinstance(event, SwarmStarted):
            own = event.room == own_room(event.swarm)
            command = recorded.cmd.removeprefix(deeds.deed_cmd(""))
            self.swarms[event.swarm] = WatchedSwarm(swarms.evolve(Swarm(), event), command, own)
            if watching:
                self._muster(self.swarms[event.swarm])
        elif isinstance(event, SwarmEvent):
            swarm = self.swarms[event.swarm]
            swarm.state = swarms.evolve(swarm.state, event)
            swarm.pauses += isinstance(event, SwarmPaused)

    def watch(self, opened: RoomOpened) -> WatchedRoom:
        """Watches a room from its opening on."""
        if opened.room not in self.rooms:
            room = self.rooms[opened.room] = WatchedRoom(opened, (0, 0))
            room.passed(self._last_round(room), self._clock_ms())  # where its actor goes on
        return self.rooms[opened.room]

    def look(self) -> None:
        """Reads what happened in the watched rooms since the last look."""
        head = self._store.head()
        if head == self._seen or not self.rooms:
            return
        query = tuple(QueryItem(tags=(chain_tag(room),), types=WATCHED) for room in sorted(self.rooms))
        while found := self._store.read(query, after=self._seen, limit=PAGE):
            for one in found:
                self._apply(decode_line(one.event.data))
            self._seen = found[-1].position
        self._seen = max(self._seen, head)

    def _apply(self, recorded: Recorded) -> None:
        self.rooms[recorded.chain].apply(recorded)
        for swarm in self.swarms.values():
            if swarm.state.room == recorded.chain:
                swarm.apply(recorded)

    def _last_round(self, room: WatchedRoom) -> int:
        """Returns the round of a room's last event, found by halving: a store reads forwards only."""
        tag = (QueryItem(tags=(chain_tag(room.opened.room),)),)
        low, high = 0, self._store.head()
        last = 0
        while low < high:
            middle = (low + high) // 2
            found = self._store.read(tag, after=middle, limit=1)
            if not found:
                high = middle
            else:
                low = found[0].position
                last = max(last, room.round_of(decode_line(found[0].event.data).at_ms))
        return last

    def round_now(self, room: WatchedRoom) -> int:
        """Returns about where a room is."""
        return room.round_now(self._clock_ms())

    def speed(self, room: str) -> int:
        """Returns the pace of a room: that of its youngest live swarm, else room time."""
        alive = [swarm.state.speed for swarm in self.swarms.values() if swarm.state.room == room and is_alive(swarm)]
        return alive[-1] if alive else 1

    def drive(self) -> bool:
        """Tells rooms what they should be told now; ends swarms that are over. Returns whether one ended."""
        ended = False
        for swarm in list(self.swarms.values()):
            room = self.rooms.get(swarm.state.room)
            if room is None:  # its opening is still to come
                continue
            for order in swarm.orders(room):
                self.give(order)
            if is_alive(swarm) and swarm.is_over(room):
                self._end(swarm)
                ended = True
        for room in self.rooms.values():
            self._pace(room)
        self._forget()
        return ended

    def give(self, order: Order) -> None:
        """Tells a room an order, unless it was told a short time ago."""
        if self.is_due(order.id):
            self._tell(order.room, order.message())

    def forget_order(self, order: str) -> None:
        """Forgets when an order was given."""
        self._told_ms.pop(order, None)

    def _end(self, swarm: WatchedSwarm) -> None:
        id_ = swarm.state.id
        query = (QueryItem(tags=(swarm_tag(id_),)),)
        for recorded in self._platform.load():
            self.learn(recorded)
        transact(
            self._platform,
            query,
            swarms.fold,
            lambda state: swarms.finish(state, swarm.deals_completed),
            at_ms=self._clock_ms(),
            cmd=f"desk:{id_}:complete",
        )
        for found in self._store.read(query):
            self.learn(decode_line(found.event.data))

    def _pace(self, room: WatchedRoom) -> None:
        """Tells a room's loop its speed, now and again: a loop made anew does not know it."""
        if room.closed:
            return
        name, now_ms = room.opened.room, self._clock_ms()
        speed = self.speed(name)
        if speed != room.speed:
            room.passed(room.round_now(now_ms), now_ms)
            room.speed = speed
            self._told_ms.pop(f"pace:{name}", None)
        if self.is_due(f"pace:{name}"):
            self._tell(name, messages.Pace(speed))

    def is_due(self, what: str) -> bool:
        """Tells whether something is to be said now; then notes that it is."""
        now_ms, then_ms = self._clock_ms(), self._told_ms.get(what)
        due = then_ms is None or not then_ms <= now_ms < then_ms + RESEND_MS  # a clock set back makes it due, too
        if due:
            self._told_ms[what] = now_ms
        return due

    def _muster(self, swarm: WatchedSwarm) -> None:
        """Finds a swarm's agents in the deed that started it."""
        deed = deeds.recall(self._vault, swarm.command)
        joining = deed.joining if deed is not None else ()
        swarm.agents = {one.spawned.agent: one for one in joining}

    def _forget(self) -> None:
        """Lets go of swarms and rooms that nothing more will be told."""
        for id_, swarm in list(self.swarms.items()):
            room = self.rooms.get(swarm.state.room)
            if not is_alive(swarm) and (not swarm.own_room or room is None or room.closed):
                del self.swarms[id_]
                self._forget_orders(f"desk:{id_}:")
        wanted = {swarm.state.room for swarm in self.swarms.values()}
        for id_, room in list(self.rooms.items()):
            if room.closed and id_ not in wanted:
                del self.rooms[id_]
                self._told_ms.pop(f"pace:{id_}", None)

    def _forget_orders(self, head: str) -> None:
        self._told_ms = {order: then for order, then in self._told_ms.items() if not order.startswith(head)}
