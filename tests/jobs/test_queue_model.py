"""The queue against a model of itself in a few lines: whatever is called in whatever order, both say the same."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from psycopg import sql

from agentrooms.jobs.catalogue import NOTIFY, QUEUES, ROOM_STATS, RUN, queue_of
from agentrooms.jobs.queue import LEASE_EXTRA_MS, Job, JobQueue, NewJob, State, backoff_s
from agentrooms.jobs.schema import migrate_jobs
from tests.jobs.clock import Clock

KINDS = (NOTIFY, ROOM_STATS, RUN)


@dataclass
class Modelled:
    """What the queue should know of a job."""

    kind: str
    order: int
    run_at_ms: int
    state: State = State.WAITING
    attempts: int = 0
    lease: int = 0
    until_ms: int = 0

    def fail(self, now: int, *, for_good: bool = False) -> None:
        queue = queue_of(self.kind)
        if for_good or self.attempts >= queue.attempts:
            self.state = State.DEAD
        else:
            self.state = State.WAITING
            self.run_at_ms = now + int(1_000 * backoff_s(queue, self.attempts, 0))


class Machine(RuleBasedStateMachine):
    dsn = ""
    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self.schema = f"test_{secrets.token_hex(6)}"
        migrate_jobs(self.dsn, self.schema)
        self.clock = Clock()
        self.queue = JobQueue(self.dsn, self.schema, self.clock, lambda: 0.0)
        self.known: dict[str, Modelled] = {}

    def teardown(self) -> None:
        self.queue.close()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self.schema)))

    @rule(number=st.integers(0, 5), kind=st.sampled_from(KINDS), later_s=st.sampled_from([0, 0, 20]))
    def put(self, number: int, kind: str, later_s: int) -> None:
        id_ = f"{kind}:{number}"
        run_at_ms = self.clock.ms + 1_000 * later_s
        self.queue.put(NewJob(id_, kind, run_at_ms=run_at_ms))
        self.known.setdefault(id_, Modelled(kind, len(self.known), run_at_ms))

    @rule(target=leases, wanted=st.sets(st.sampled_from(sorted(QUEUES)), min_size=1))
    def take(self, wanted: set[str]) -> Job | None:
        now = self.clock.ms
        for one in self.known.values():
            if one.state is State.RUNNING and one.until_ms <= now:
                one.fail(now)
        due = [
            (queue_of(one.kind).priority, one.run_at_ms, one.order, id_)
            for id_, one in self.known.items()
            if one.state is State.WAITING and one.run_at_ms <= now and queue_of(one.kind).name in wanted
        ]
        job = self.queue.take(sorted(wanted))
        assert (None if job is None else job.id) == (min(due)[3] if due else None)
        if job is not None:
            one = self.known[job.id]
            one.state, one.attempts, one.lease = State.RUNNING, one.attempts + 1, one.lease + 1
            one.until_ms = now + queue_of(one.kind).time_limit_s * 1_000 + LEASE_EXTRA_MS
        return job

    @rule(job=consumes(leases), how=st.sampled_from(["done", "failed", "hopeless", "back"]))
    def end(self, job: Job | None, how: str) -> None:
        if job is None:
            return
        one = self.known[job.id]
        mine = one.state is State.RUNNING and one.lease == job.lease
        if how == "done":
            assert self.queue.done(job, {}) == mine
            one.state = State.DONE if mine else one.state
        elif how == "back":
            assert self.queue.give_back(job) == mine
            if mine:
                one.state, one.attempts = State.WAITING, one.attempts - 1
        else:
            assert self.queue.failed(job, "why", for_good=how == "hopeless") == mine
            if mine:
                one.fail(self.clock.ms, for_good=how == "hopeless")

    @rule(seconds=st.sampled_from([1, 10, 30, 70, 2_000]))
    def wait(self, seconds: int) -> None:
        self.clock.pass_s(seconds)

    @precondition(lambda self: any(one.state is State.DEAD for one in self.known.values()))
    @rule()
    def retry(self) -> None:
        dead = [one for one in self.known.values() if one.state is State.DEAD]
        assert self.queue.retry_dead() == len(dead)
        for one in dead:
            one.state, one.attempts, one.run_at_ms = State.WAITING, 0, self.clock.ms

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "queue"):
            return
        found = {job.id: (job.state, job.attempts, job.lease) for job in self.queue.jobs(limit=500)}
        assert found == {id_: (one.state, one.attempts, one.lease) for id_, one in self.known.items()}


@pytest.fixture(autouse=True)
def _server(postgres_dsn: str) -> None:
    Machine.dsn = postgres_dsn


TestQueue = Machine.TestCase
TestQueue.settings = settings(parent=settings.default, max_examples=15)
