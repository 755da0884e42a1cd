"""The queues, what kinds of jobs are in them, and when some are made by the clock.

Two queues hold no rows here. The actors of a living system verify and execute deals, driven by the log itself, which
keeps that work better than a table could; the command line shows them beside the others, as what the log says.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from agentrooms.accounts.schema import DAY_MS
from agentrooms.domain.deal import DealState
from agentrooms.errors import InvalidInput

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS


ANALYTICS, CLEANUP, RUNS = "analytics", "cleanup", "runs"
NOTIFICATIONS, WEBHOOKS = "notifications", "webhooks"
VERIFICATION, EXECUTION = "deal-verification", "execution"

ROOM_STATS, AGENT_PERFORMANCE = "calculate_room_stats", "update_agent_performance"
OLD_DEALS, OLD_MESSAGES, OLD_RECORDS = "archive_completed_deals", "cleanup_old_messages", "cleanup_expired_records"
NOTIFY, WEBHOOK, EMAIL, CONFIRMATION = "notify", "deliver_webhook", "deliver_email", "confirm_email"
RUN = "simulate_run"


class Priority(IntEnum):
    """Who goes first."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue and its bounds. `attempts` counts the first; the wait before a retry doubles from `backoff_s`.

    At most `open_max` jobs wait or run, and `kept_max` that have ended are remembered.
    """

    name: str
    priority: Priority
    attempts: int
    time_limit_s: int
    backoff_s: int = 0
    open_max: int = 1_000
    kept_max: int = 1_000


class Schedule(msgspec.Struct, frozen=True):
    """Jobs of a kind made every `every_ms`, counted from the start of a day (UTC), `after_ms` into it."""

    kind: str
    every_ms: int
    after_ms: int = 0


class DealQueue(msgspec.Struct, frozen=True):
    """A queue that the actors of deals are: how it works stands in `consensus` and `chain`, not here."""

    name: str
    priority: Priority
    states: frozenset[DealState]


def _telling(name: str) -> Queue:
    """Returns a queue of what people are told."""
    return Queue(
        name=name,
        priority=Priority.MEDIUM,
        attempts=3,
        time_limit_s=30,
        backoff_s=30,
        open_max=10_000,
        kept_max=10_000,
    )


QUEUES = {
    queue.name: queue
    for queue in (
        _telling(NOTIFICATIONS),
        _telling(WEBHOOKS),  # of its own: servers of others may be slow, and what makes deliveries must go on
        Queue(name=ANALYTICS, priority=Priority.LOW, attempts=1, time_limit_s=60),
        Queue(name=CLEANUP, priority=Priority.LOW, attempts=1, time_limit_s=1_800),
        Queue(name=RUNS, priority=Priority.LOW, attempts=2, time_limit_s=1_800, backoff_s=5, open_max=100),
    )
}

KINDS = {
    ROOM_STATS: ANALYTICS,
    AGENT_PERFORMANCE: ANALYTICS,
    OLD_DEALS: CLEANUP,
    OLD_MESSAGES: CLEANUP,
    OLD_RECORDS: CLEANUP,
    NOTIFY: NOTIFICATIONS,
    WEBHOOK: WEBHOOKS,
    EMAIL: NOTIFICATIONS,
    CONFIRMATION: NOTIFICATIONS,
    RUN: RUNS,
}
"""The queue of each kind of job."""

SCHEDULES = (
    Schedule(ROOM_STATS, 5 * MINUTE_MS),
    Schedule(AGENT_PERFORMANCE, 5 * MINUTE_MS),
    Schedule(OLD_DEALS, DAY_MS, 120 * MINUTE_MS),
    Schedule(OLD_MESSAGES, DAY_MS, 120 * MINUTE_MS),
    Schedule(OLD_RECORDS, DAY_MS, 120 * MINUTE_MS),
)

DEAL_QUEUES = (
    DealQueue(VERIFICATION, Priority.CRITICAL, frozenset({DealState.LOCKED, DealState.VERIFYING})),
    DealQueue(EXECUTION, Priority.CRITICAL, frozenset({DealState.EXECUTING})),
)


def queue_of(kind: str) -> Queue:
    """Returns the queue of a kind of job. Raises InvalidInput for a kind that there is not."""
    if kind not in KINDS:
        raise InvalidInput(f"{kind!a} is not a kind of job", hint=f"one of {', '.join(KINDS)}")
    return QUEUES[KINDS[kind]]
