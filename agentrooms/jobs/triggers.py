"""Follows the log and makes a job for whatever people want to hear of.

Jobs and cursor are one transaction, so each event makes its jobs once, also when this dies, or runs twice.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import psycopg

from agentrooms.accounts.schema import now_ms
from agentrooms.domain.agent import AgentLeft, AgentSpawned
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, Terms
from agentrooms.domain.event import Event
from agentrooms.domain.terms import LeaveReason
from agentrooms.domain.user import user_id
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import Connection, Connections
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import EventStore, QueryItem, StoreError, with_any
from agentrooms.events.waking import Listener
from agentrooms.jobs import queue
from agentrooms.jobs.catalogue import NOTIFY
from agentrooms.jobs.queue import NewJob, QueueFull
from agentrooms.jobs.schema import SCHEMA
from agentrooms.services.failpoints import hit

WATCHED = ("agent.left", "deal.completed", "deal.failed")
BATCH_EVENTS = 500  # in one transaction
POLL_S = 1.0
RETRY_S = 1.0
_UNUSABLE = (InvalidInput, ValueError)
_SAID_OTHERWISE = frozenset({LeaveReason.SOLD_NFT, LeaveReason.BOUGHT_NFT, LeaveReason.USER_REMOVED})  # or known

log = logging.getLogger(__name__)


class News(msgspec.Struct, frozen=True):
    """What one user is told: the payload of a job `notify`. All of it is public; `facts` are texts and numbers."""

    kind: str
    user: str
    room: str = ""
    deal: str = ""
    agent: str = ""
    facts: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The one id that this news has for this user."""
        about = self.deal or self.agent or self.facts.get("webhookId", "")
        return f"{self.kind}:{about}:{self.user}"


class _About(NamedTuple):
    """What events are about, as far as the log says it."""

    deals: dict[str, Terms]
    agents: dict[str, AgentSpawned]


class Triggers:
    """Turns events into jobs. `channel` is where the log's writer notifies; without it new events are found by polling."""

    def __init__(self, store: EventStore, dsn: str, schema: str = SCHEMA, channel: str | None = None) -> None:
        self._store, self._schema = store, schema
        self._connections = Connections(dsn, schema)
        self._listener = Listener(dsn, schema, channel) if channel is not None else None
        self.position = 0
        """The last event that was followed, as known here."""
        self.trouble = ""
        self.skipped = 0
        """How many events brought no news because they, or what they are about, could not be used."""

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()
        if self._listener is not None:
            self._listener.close()

    def run(self, stop: threading.Event) -> None:
        """Follows the log until `stop` is set. Waits for a database that is away, and for a full queue."""
        while not stop.is_set():
            try:
                if not self.step():
                    self._wait(stop)
                self.trouble = ""
            except (StoreError, QueueFull, psycopg.Error) as error:
                log.warning("notifications wait: %s", error)
                self.trouble = str(error)
                stop.wait(RETRY_S)
        self.close()

    def step(self) -> bool:
        """Follows the log by a batch; returns whether there was anything to follow.

        The first time of all it begins at the log's end: what was before is no news. Raises QueueFull, StoreError.
        """
        head = self._store.head()
        self.position = self._begin(head)
        found = self._store.read((QueryItem(types=WATCHED),), after=self.position, limit=BATCH_EVENTS)
        end = found[-1].position if len(found) == BATCH_EVENTS else max(head, *(one.position for one in found), 0)
        if end == self.position:
            return False
        happened: dict[int, Recorded] = {}
        failed: dict[int, str] = {}
        for one in found:
            try:
                happened[one.position] = decode_line(one.event.data)
            except _UNUSABLE as error:
                failed[one.position] = str(error)
        about = self._about([one.event for one in happened.values()])
        told: list[tuple[int, News]] = []
        for position, recorded in happened.items():
            try:
                told += [(position, news) for news in _news(recorded, about)]
            except _UNUSABLE as error:
                failed[position] = str(error)
        refused = self._commit(told, self.position, end)
        if refused is not None:
            self.position = end
            self._skip(failed | refused)
        return True

    def _begin(self, head: int) -> int:
        """Returns the cursor; one beyond the log's end belongs to another log, and starts over at the end."""

        def work(connection: Connection) -> int:
            connection.execute("INSERT INTO log_cursor (position) VALUES (%s) ON CONFLICT DO NOTHING", [head])
            connection.execute("UPDATE log_cursor SET position = %(head)s WHERE position > %(head)s", {"head": head})
            row = connection.execute("SELECT position FROM log_cursor").fetchone()
            assert row is not None
            return msgspec.convert(row[0], int)

        return self._connections.repeat(work)

    def _commit(self, told: list[tuple[int, News]], begin: int, end: int) -> dict[int, str] | None:
        """Moves the cursor and puts the jobs; returns why which event's job cannot be. None when another was faster."""

        def work(connection: Connection) -> dict[int, str] | None:
            refused: dict[int, str] = {}
            with connection.transaction():
                moved = connection.execute(
                    "UPDATE log_cursor SET position = %s WHERE position = %s", [end, begin]
                ).rowcount
                if moved == 0:
                    return None
                now = now_ms()
                for position, news in told:
                    try:
                        queue.put(connection, _job(news), now, self._schema)
                    except _UNUSABLE as error:
                        refused[position] = str(error)
                hit("triggers.before_commit")
            hit("triggers.after_commit")
            return refused

        return self._connections.repeat(work)

    def _skip(self, failed: dict[int, str]) -> None:
        """Says which events brought no news: they would not tomorrow either, and must not hold up the others."""
        self.skipped += len(failed)
        for position, why in failed.items():
            log.error("event %d of the log brings no notification: %s", position, why)

    def _about(self, events: list[Event]) -> _About:
        """Reads the terms of deals that have ended, and the agents that they or others are about."""
        ended = {event.deal for event in events if isinstance(event, DealCompleted | DealFailed)}
        locks = [one.terms for one in self._read("deal", ended, "deal.locked") if isinstance(one, DealLocked)]
        agents = {event.agent for event in events if isinstance(event, AgentLeft)}
        agents |= {agent for terms in locks for agent in (terms.seller, terms.buyer)}
        spawned = [one for one in self._read("agent", agents, "agent.spawned") if isinstance(one, AgentSpawned)]
        return _About({terms.deal: terms for terms in locks}, {one.agent: one for one in spawned})

    def _read(self, tag: str, ids: set[str], type: str) -> Iterator[Event]:
        """Yields the events of a type about any of some things; one that cannot be read is passed over."""
        for query in with_any((f"{tag}:{one}" for one in ids), (type,)):
            for one in self._store.read(query):
                with contextlib.suppress(*_UNUSABLE):
                    yield decode_line(one.event.data).event

    def _wait(self, stop: threading.Event) -> None:
        """Waits for a notification, at most POLL_S."""
        if self._listener is None:
            stop.wait(POLL_S)
        else:
            self._listener.wait(POLL_S)


def _job(news: News) -> NewJob:
    return NewJob(f"notify:{news.id}", NOTIFY, msgspec.to_builtins(news), news.user)


def _news(recorded: Recorded, about: _About) -> Iterator[News]:
    match recorded.event:
        case DealCompleted() as event:
            yield from _to_both("deal_completed", event.deal, {"txHash": event.receipt.tx_hash}, about)
        case DealFailed() as event:
            yield from _to_both("deal_failed", event.deal, {"reason": event.reason.value}, about)
        case AgentLeft() as event if event.reason not in _SAID_OTHERWISE:
            spawned = about.agents.get(event.agent)
            if spawned is not None and spawned.swarm is None:
                facts = {"reason": event.reason.value, "name": spawned.name}
                yield News("agent_left", user_id(spawned.owner), recorded.chain, "", event.agent, facts)


def _to_both(kind: str, deal: str, facts: dict[str, Any], about: _About) -> Iterator[News]:
    """Gives the news of a deal for each party that is a user's own agent; who is both hears once, as the seller."""
    terms = about.deals.get(deal)
    if terms is None:
        raise InvalidInput(f"the log does not say how deal {deal} was locked")
    facts = {**facts, "item": terms.item.name, "priceMicros": str(terms.price_usdc_micros)}
    seen: set[str] = set()
    for role, agent in (("seller", terms.seller), ("buyer", terms.buyer)):
        spawned = about.agents.get(agent)
        if spawned is None or spawned.swarm is not None or user_id(spawned.owner) in seen:
            continue
        user = user_id(spawned.owner)
        seen.add(user)
        yield News(kind, user, terms.room, deal, agent, {**facts, "role": role, "name": spawned.name})
