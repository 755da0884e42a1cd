"""Figures for Prometheus: what this process counts itself, and at each scrape what the database says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from agentrooms.api.problems import Problem
from agentrooms.api.reading import Reads
from agentrooms.live.health import SILENT_S

SCRAPE_S = 1.0  # what one scrape read serves all others for so long
COUNT_EVENTS = 20_000  # of the log are counted at once
COUNT_STEPS = 50  # and so often in one scrape: the rest comes with the next
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REGISTRY = CollectorRegistry()
"""What this process counts. Several applications in one process share it, as several requests do."""
ProcessCollector(registry=REGISTRY)

REQUESTS = Counter(
    "agentrooms_requests", "Requests answered, by path template", ["method", "route", "status"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "agentrooms_request_seconds",
    "Time from a request to its whole answer",
    ["method", "route"],
    buckets=BUCKETS_S,
    registry=REGISTRY,
)
RATE_LIMITED = Counter(
    "agentrooms_rate_limited", "Requests refused because there were too many", ["route"], registry=REGISTRY
)
COMMANDS = Counter(
    "agentrooms_commands", "Commands given to the system, by kind and outcome", ["kind", "outcome"], registry=REGISTRY
)
CLIENTS = Gauge("agentrooms_socket_clients", "Socket clients connected now", registry=REGISTRY)
FRAMES_DELIVERED = Counter("agentrooms_frames_delivered", "Frames handed to socket clients", registry=REGISTRY)
FRAMES_DROPPED = Counter(
    "agentrooms_frames_dropped",
    "Frames thrown away because a client read too slowly; it resumes from the log",
    registry=REGISTRY,
)
FRAMES_CONFLATED = Counter(
    "agentrooms_frames_conflated", "Statistics replaced by newer ones before they were sent", registry=REGISTRY
)

_ONE_ROW = """
    SELECT (SELECT position FROM log.log_head), (SELECT position FROM cursor),
        (SELECT failure IS NOT NULL FROM cursor), (SELECT count(*) FROM live.commands WHERE state = 'open')"""
_STATES = """
    SELECT 'rooms', status, count(*) FROM rooms GROUP BY 2
    UNION ALL SELECT 'agents', status, count(*) FROM agents GROUP BY 2
    UNION ALL SELECT 'swarms', status, count(*) FROM swarms GROUP BY 2
    UNION ALL SELECT 'deals', state, count(*) FROM deals GROUP BY 2
    ORDER BY 1, 2"""
_PROCESSES = """
    SELECT split_part(name, ':', 1), count(*), count(*) FILTER (WHERE now() - seen_at < make_interval(secs => %s)),
        sum(starts) - count(*), count(*) FILTER (WHERE coalesce(health->>'trouble', '') <> '')
    FROM live.processes GROUP BY 1 ORDER BY 1"""
_JOBS = "SELECT queue, state, count(*) FROM jobs.jobs GROUP BY 1, 2 ORDER BY 1, 2"
_COUNTED = """
    SELECT type, CASE type WHEN 'act.posted' THEN convert_from(data, 'UTF8')::jsonb #>> '{data,wording}'
        ELSE convert_from(data, 'UTF8')::jsonb #>> '{data,evidence,verifier}' END, count(*)
    FROM log.events WHERE position > %s AND position <= %s AND type IN ('act.posted', 'verifier.accused')
    GROUP BY 1, 2"""


log = logging.getLogger(__name__)


@contextmanager
def counting(kind: str) -> Iterator[None]:
    """Counts a command that is asked within, by what came of it."""
    try:
        yield
    except Problem as problem:
        COMMANDS.labels(kind, problem.code).inc()
        raise
    COMMANDS.labels(kind, "done").inc()


class Scrape:
    """The figures of one API process's database, read at most once in SCRAPE_S."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._lock = threading.Lock()
        self._read_s = float("-inf")
        self._text = b""
        self._counted = 0  # up to which position of the log
        self._words: dict[str, int] = {}
        self._accused: dict[str, int] = {}

    def text(self) -> bytes:
        """Returns all figures in Prometheus' text format; without those of the database when it does not answer."""
        return generate_latest(REGISTRY) + self._of_database()

    def collect(self) -> Iterator[Metric]:
        """Yields the figures of the database, or that it does not answer."""
        up = GaugeMetricFamily("agentrooms_database_up", "Whether the database answered this scrape")
        try:
            found = list(self._reads.run(self._read))
        except (Problem, psycopg.Error) as error:
            log.warning("a scrape goes without the database's figures: %s", error)
            found = []
        up.add_metric([], bool(found))
        yield up
        yield from found

    def _of_database(self) -> bytes:
        with self._lock:  # a second scraper waits for what the first reads
            if time.monotonic() - self._read_s >= SCRAPE_S:
                registry = CollectorRegistry(auto_describe=False)
                registry.register(_Once(self.collect()))
                self._text = generate_latest(registry)
                self._read_s = time.monotonic()
            return self._text

    def _read(self, connection: psycopg.Connection) -> list[Metric]:
        row = connection.execute(_ONE_ROW).fetchone()
        assert row is not None, "a SELECT without FROM has one row"
        head, position, stands, waiting = row
        self._count(connection, head)
        return [
            _counter("agentrooms_log_events", "Events in the log", head),
            _gauge("agentrooms_projection_lag_events", "Events that the read models do not hold yet", head - position),
            _gauge("agentrooms_projection_stands", "1 when an event could not be projected", stands),
            _gauge("agentrooms_commands_waiting", "Commands without an answer", waiting),
            *_by_state(connection.execute(_STATES).fetchall()),
            *_processes(connection.execute(_PROCESSES, [SILENT_S]).fetchall()),
            *_jobs(connection),
            _labelled("agentrooms_words", "Messages of agents by who worded them", "wording", self._words),
            _labelled("agentrooms_accusations", "Faults of verifiers proven in the log", "verifier", self._accused),
        ]

    def _count(self, connection: psycopg.Connection, head: int) -> None:
        """Counts on from where the scrape before ended: counting a whole log anew would take ever longer."""
        for _step in range(COUNT_STEPS):
            if self._counted >= head:
                return
            end = min(self._counted + COUNT_EVENTS, head)
            for type_, key, count in connection.execute(_COUNTED, [self._counted, end]).fetchall():
                totals = self._words if type_ == "act.posted" else self._accused
                totals[str(key)] = totals.get(str(key), 0) + count
            self._counted = end


class _Once:
    """Figures already read, as the library wants to collect them."""

    def __init__(self, found: Iterator[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterator[Metric]:
        yield from self._found


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=float(value))


def _labelled(name: str, what: str, label: str, totals: dict[str, int]) -> Metric:
    found = CounterMetricFamily(name, what, labels=[label])
    for key, count in sorted(totals.items()):
        found.add_metric([key], count)
    return found


def _by_state(rows: list[tuple[str, str, int]]) -> list[Metric]:
    found = {
        kind: GaugeMetricFamily(f"agentrooms_{kind}", f"{kind.capitalize()} by state", labels=["state"])
        for kind in ("rooms", "agents", "swarms", "deals")
    }
    for kind, state, count in rows:
        found[kind].add_metric([state], count)
    return list(found.values())


def _processes(rows: list[tuple[str, int, int, int, int]]) -> list[Metric]:
    there = GaugeMetricFamily("agentrooms_processes", "Processes of the system by kind", labels=["kind"])
    alive = GaugeMetricFamily("agentrooms_processes_alive", f"Those heard of in the last {SILENT_S} s", labels=["kind"])
    troubled = GaugeMetricFamily("agentrooms_processes_troubled", "Those that report trouble", labels=["kind"])
    restarts = GaugeMetricFamily("agentrooms_process_restarts", "How often those there were made anew", labels=["kind"])
    for kind, count, alive_count, started, trouble in rows:
        there.add_metric([kind], count)
        alive.add_metric([kind], alive_count)
        troubled.add_metric([kind], trouble)
        restarts.add_metric([kind], started)
    return [there, alive, troubled, restarts]


def _jobs(connection: psycopg.Connection) -> list[Metric]:
    found = GaugeMetricFamily("agentrooms_jobs", "Jobs by queue and state", labels=["queue", "state"])
    if connection.execute("SELECT to_regclass('jobs.jobs')").fetchone() != (None,):
        for queue, state, count in connection.execute(_JOBS).fetchall():
            found.add_metric([queue, state], count)
    return [found]
