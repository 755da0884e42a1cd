"""Carries out the faults of a plan on connections, API processes, servers and actors, and mends what does not mend itself."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import redis

from agentrooms.actors.broadcast import encode_frame
from agentrooms.actors.service_cells import LogSpec
from agentrooms.chaos.api_processes import ApiProcesses
from agentrooms.chaos.crowd import Crowd
from agentrooms.chaos.ground import Ground
from agentrooms.chaos.plan import KILL, RESTART
from agentrooms.chaos.processes import living, send_signal
from agentrooms.chaos.relay import Relay
from agentrooms.chaos.socket_plan import SocketFault
from agentrooms.chaos.strikes import strike_postgres
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import StoreError
from agentrooms.services.redis import client

ECHOES = 20
POLL_S = 0.05
FIND_S = 3.0  # how long a victim that is not there just now is waited for

Mend = Callable[[], object]


class SocketFaults:
    """Strikes one fault after the other, in the thread that calls."""

    def __init__(self, services: Ground, scope: str, spec: LogSpec, crowd: Crowd, processes: ApiProcesses) -> None:
        self.done: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self._services = services
        self._scope = scope
        self._spec = spec
        self._crowd = crowd
        self._processes = processes

    def strike(self, fault: SocketFault) -> None:
        """Strikes, and mends it a moment later; what had no victim is missed."""
        victim, _, how = fault.what.partition(".")
        match victim:
            case "connections" | "frames":
                mend = self._network(how, fault.share)
            case "api":
                mend = self._api(how, fault.which)
            case "redis":
                mend = self._redis(how, fault.which)
            case "postgres":
                mend = strike_postgres(self._services.postgres, RESTART if how == "restart" else KILL)
            case _:
                mend = self._actor(victim, fault.which)
        (self.done if mend is not None else self.missed)[fault.what] += 1
        if mend is not None:
            time.sleep(fault.lasts_ms / 1_000)
            mend()

    def _network(self, how: str, share: float) -> Mend | None:
        crowd = self._crowd
        match how:
            case "cut":
                return _nothing if crowd.call(lambda: sum(relay.cut(share) for relay in crowd.relays)) else None
            case "hushed":
                hushed = crowd.call(lambda: sum(relay.hush(share) for relay in crowd.relays))
                return partial(crowd.call, partial(_each, Relay.unhush, crowd.relays)) if hushed else None
            case "held":
                crowd.call(partial(_each, Relay.hold, crowd.relays))
                return partial(crowd.call, partial(_each, Relay.release, crowd.relays))
        crowd.call(partial(_each, partial(Relay.lose, share=share), crowd.losing))
        return partial(crowd.call, partial(_each, partial(Relay.lose, share=0.0), crowd.losing))

    def _api(self, how: str, which: int) -> Mend | None:
        pid = self._processes.pid(which)
        if pid is None:
            return None
        if how == "slow":
            return _stopped(pid)
        return _nothing if send_signal(pid, signal.SIGKILL if how == "kill" else signal.SIGTERM) else None

    def _redis(self, how: str, which: int) -> Mend | None:
        server = self._services.redis
        if how in {"unsubscribed", "echo"}:
            with closing(client(server.url)) as cache:
                return self._broadcast(cache, how, which)
        pid = server.pid
        if pid is None:
            return None
        if how == "slow":
            return _stopped(pid)
        return server.start if send_signal(pid, signal.SIGKILL) else None

    def _broadcast(self, cache: redis.Redis, how: str, which: int) -> Mend | None:
        """Breaks the connections of those who listen, or has them hear old events, and halves of them, in any order."""
        try:
            if how == "unsubscribed":
                return _nothing if cache.client_kill_filter(_type="pubsub") else None
            assert self._spec.dsn is not None
            with closing(PostgresLog(self._spec.dsn, self._spec.schema)) as log:
                stored = log.read()
            pipe = cache.pipeline(transaction=False)
            for one in random.Random(which).choices(stored, k=ECHOES):  # noqa: S311 - no secret
                name, frame = encode_frame(one)
                pipe.publish(name, frame)
                pipe.publish(name, frame[: len(frame) // 2])
            return _nothing if sum(pipe.execute()) else None
        except (redis.RedisError, StoreError):
            return None

    def _actor(self, victim: str, which: int) -> Mend | None:
        deadline_s = time.monotonic() + FIND_S
        while not (found := living(self._scope, victim)):
            if time.monotonic() > deadline_s:
                return None
            time.sleep(POLL_S)
        return _nothing if send_signal(found[which % len(found)].pid, signal.SIGKILL) else None


def _each(do: Callable[[Relay], None], relays: Sequence[Relay]) -> None:
    for relay in relays:
        do(relay)


def _stopped(pid: int) -> Mend | None:
    """Stops a process; returns what lets it go on."""
    return partial(send_signal, pid, signal.SIGCONT) if send_signal(pid, signal.SIGSTOP) else None


def _nothing() -> None:
    pass
