"""A watched room: what goes out to its watchers, each message encoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from agentrooms.actors.progress_board import Shown
from agentrooms.api.frames import DealMoved, frame_of, log_id
from agentrooms.api.models.room_state import figures, room_state
from agentrooms.api.models.socket import DealVerifyingProgress, RoomStats
from agentrooms.api.sockets.fold import RoomFold
from agentrooms.api.sockets.outbox import Message, Outbox, length
from agentrooms.domain import progress
from agentrooms.domain.deal import DealLocked
from agentrooms.events.record import Recorded

RESUMED_MAX = 300  # events that a client may have missed
RECENT_MAX = 50  # events that come with a snapshot


class Feed:
    """One room for all its watchers in this process."""

    def __init__(self, fold: RoomFold, recent: Sequence[Recorded]) -> None:
        """`recent` are the last events that `fold` has taken into account; `scanned` is how far the log was looked at."""
        self.fold = fold
        self.scanned = fold.position
        self.watchers: dict[Outbox, None] = {}
        self.idle_since_s = 0.0
        self._recent: deque[Message] = deque(maxlen=RESUMED_MAX)
        self._stats: Message | None = None
        self._stats_of = figures(fold.room)
        self._percents: dict[str, int] = {}  # of live deals, as last shown
        self._progress: dict[str, Message] = {}
        self._joined: tuple[int, Message] | None = None  # what those are told who join anew, after which event
        self.publish(recent)
        for deal in fold.room.live_deals():
            self._show_progress(deal.terms.deal, None)

    @property
    def id(self) -> str:
        """The room."""
        return self.fold.id

    @property
    def log_id(self) -> str:
        """What tells this room's log from another."""
        room = self.fold.room
        return log_id(room.id, room.started_at_ms, room.name)

    def publish(self, events: Sequence[Recorded]) -> None:
        """Sends events that the fold has just taken into account, and what follows from them."""
        if not events:
            return
        messages = []
        for one in events:
            frame = frame_of(one, self.fold.room)
            messages.append(Message.of(frame, frame.type))
        self._recent.extend(messages)
        characters = length(messages)
        for watcher in self.watchers:
            watcher.offer(messages, characters)
        self._show_figures()
        moved = [one.event for one in events if isinstance(one.event, DealMoved)]
        for event in moved:
            self._show_progress(event.terms.deal if isinstance(event, DealLocked) else event.deal, None)

    def hear(self, shown: Shown) -> None:
        """Learns from settlement how far a deal is."""
        self._show_progress(shown.deal, shown.percent)

    def attach(self, watcher: Outbox, after: int | None, log: str | None) -> dict[str, object]:
        """Lets a client watch: it is told where it is, what it missed, and everything from now on.

        Returns where it is without the snapshot.
        """
        missed = self._missed(after, log)
        where = {
            "type": "joined",
            "roomId": self.id,
            "logId": self.log_id,
            "head": self.fold.seq,
            "recovered": missed is not None,
            "seq": self.fold.seq if missed is None else after,
        }
        if missed is None:
            watcher.offer([self._anew(where)])
        else:
            joined = {**where, "snapshot": None, "recent": []}
            watcher.offer([Message("joined", msgspec.json.encode(joined).decode()), *missed])
        self._show_figures()
        if self._stats is not None:
            watcher.offer_newest((self.id, ""), self._stats)
        for deal, message in self._progress.items():
            watcher.offer_newest((self.id, deal), message)
        self.watchers[watcher] = None
        return where

    def detach(self, watcher: Outbox, now_s: float) -> None:
        """Lets a client watch no longer."""
        self.watchers.pop(watcher, None)
        watcher.forget([(self.id, ""), *((self.id, deal) for deal in self._progress)])
        if not self.watchers:
            self.idle_since_s = now_s

    def _missed(self, after: int | None, log: str | None) -> list[Message] | None:
        """Returns the events behind `after`, None when they cannot be told from here."""
        head = self.fold.seq
        if after is None or (log is not None and log != self.log_id) or not head - len(self._recent) <= after <= head:
            return None
        return list(self._recent)[len(self._recent) - (head - after) :]

    def _anew(self, where: dict[str, object]) -> Message:
        """Returns what one is told who joins anew: the same message for all who do between two events."""
        if self._joined is None or self._joined[0] != self.fold.seq:
            snapshot = room_state(self.fold.room, self.fold.seq).model_dump_json().encode()
            recent = [msgspec.Raw(one.text.encode()) for one in list(self._recent)[-RECENT_MAX:]]
            joined = {**where, "snapshot": msgspec.Raw(snapshot), "recent": recent}
            self._joined = self.fold.seq, Message("joined", msgspec.json.encode(joined).decode())
        return self._joined[1]

    def _show_figures(self) -> None:
        now = figures(self.fold.room)
        if self._stats is not None and now == self._stats_of:
            return
        self._stats_of = now
        stats = RoomStats(room_id=self.id, as_of_seq=self.fold.seq, **dict(now))
        self._stats = Message.of(stats, stats.type)
        for watcher in self.watchers:
            watcher.offer_newest((self.id, ""), self._stats)

    def _show_progress(self, id_: str, told: int | None) -> None:
        """Shows how far a deal is when it is further than it was shown; none ever goes back."""
        deal = self.fold.room.deals.get(id_)
        if deal is None or not deal.live:
            self._percents.pop(id_, None)
            if self._progress.pop(id_, None) is not None:
                for watcher in self.watchers:  # or it would come behind the event that ends the deal
                    watcher.forget([(self.id, id_)])
            return
        stage, percent = progress.further(progress.of_deal(deal), told)
        if percent <= self._percents.get(id_, -1):
            return
        self._percents[id_] = percent
        shown = DealVerifyingProgress(
            room_id=self.id, deal_id=id_, progress=percent, stage=stage, as_of_seq=self.fold.seq
        )
        message = self._progress[id_] = Message.of(shown, shown.type)
        for watcher in self.watchers:
            watcher.offer_newest((self.id, id_), message)
