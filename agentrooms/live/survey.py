"""How a running system is: its services, processes, log, tables, inbox and rooms, and what is wrong with them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import redis

from agentrooms.domain.room import RoomStatus
from agentrooms.domain.verifier_set import Verifier, VerifierSet, VerifierSetRegistered, evolve
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.record import decode_line
from agentrooms.events.store import QueryItem, StoreError
from agentrooms.events.tags import accused_tag
from agentrooms.live.access import LOG, READ, Running
from agentrooms.live.chain_state import ChainState, chain_state
from agentrooms.live.health import SILENT_S, Health, Process
from agentrooms.live.inbox import OPEN_MAX, Inbox
from agentrooms.projections import queries
from agentrooms.projections.read_rows import RoomRow
from agentrooms.projections.read_views import Lag
from agentrooms.services.folder import DataFolder
from agentrooms.services.redis import client

START_S = 30.0  # a system younger than this may still be making its processes
CONNECT_TIMEOUT_S = 2.0
VERIFIERS = 7
ACCUSATIONS_MAX = 1_000  # of one verifier that are counted
ALWAYS = (
    "log",
    "chain",
    "settlement",
    "desk",
    "projector",
    "jobs",
    *(f"verifier:verifier_{n + 1}" for n in range(VERIFIERS)),
)


class Service(msgspec.Struct, frozen=True):
    """One service: whether it answers, and what it said."""

    name: str
    answers: bool
    found: str


class RoomState(msgspec.Struct, frozen=True):
    """One open room as its process tells; `round` and `speed` are None when it has not been asked yet.

    `speed` is how many times room time its rounds run, 0 for as fast as they go.
    """

    room: str
    name: str
    round: int | None
    speed: int | None
    agents: int
    trouble: str


class VerifierState(msgspec.Struct, frozen=True):
    """One verifier of the newest set: the address it attests as, and how often the log accuses it."""

    verifier: str
    address: str
    accused: int


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at one moment. Without Postgres only services are known. `faults` says in words what is wrong.

    `set_version` and `verifiers` are the newest that the log has registered.
    """

    pid: int
    age_s: float
    services: tuple[Service, ...]
    processes: tuple[Process, ...] = ()
    log_head: int | None = None
    lag: Lag | None = None
    open_commands: int | None = None
    rooms: tuple[RoomState, ...] = ()
    chain: ChainState | None = None
    set_version: int | None = None
    verifiers: tuple[VerifierState, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def starting(self) -> bool:
        """Whether the system is so young that what is missing may be on its way."""
        return self.age_s < START_S


def survey(found: Running, relayer: str = "") -> Survey:
    """Looks at everything without changing anything; what does not answer is a fault, no error.

    `relayer` is the account that pays for transactions, whose balance is then looked at.
    """
    owner = DataFolder(found.folder).owner()
    age_s = max(0.0, time.time() - owner.started_at_s) if owner is not None else 0.0
    services = (_postgres(found.dsn), _redis(found.redis_url), _ray(found.ray_address))
    seen = Survey(pid=found.pid, age_s=age_s, services=services, chain=chain_state(found, relayer))
    if services[0].answers:
        try:
            seen = _with_state(seen, found.dsn)
        except (StoreError, psycopg.Error) as error:
            broken = Service("Postgres", answers=False, found=_line(error))
            seen = msgspec.structs.replace(seen, services=(broken, *services[1:]))
    return msgspec.structs.replace(seen, faults=tuple(_faults(seen)))


def _with_state(seen: Survey, dsn: str) -> Survey:
    log, inbox, health = PostgresLog(dsn, LOG), Inbox(dsn), Health(dsn)
    try:
        processes, head, waiting = health.read(), log.head(), len(inbox.open(limit=OPEN_MAX))
        registered = _registered(log)
        verifiers = tuple(_verifier(log, member) for member in registered.verifiers)
    finally:
        for part in (log, inbox, health):
            part.close()
    seen = msgspec.structs.replace(
        seen,
        processes=tuple(processes),
        log_head=head,
        open_commands=waiting,
        set_version=registered.version or None,
        verifiers=verifiers,
    )
    with queries.connect(dsn, READ) as connection:
        if connection.execute("SELECT to_regclass('cursor')").fetchone() == (None,):
            return seen  # the first start's projector has still to make the tables
        lag = queries.lag(connection, head)
        rooms = queries.rooms(connection, status=RoomStatus.ACTIVE, limit=queries.PAGE_MAX)
    told = {process.name: process.health for process in processes}
    states = tuple(_room(room, told.get(f"room:{room.room}")) for room in rooms)
    return msgspec.structs.replace(seen, lag=lag, rooms=states)


def _registered(log: PostgresLog) -> VerifierSet:
    """Returns the newest verifier set that is registered, version 0 for none."""
    current = VerifierSet()
    for found in log.read((QueryItem(tags=("verifiers",)),)):
        event = decode_line(found.event.data).event
        assert isinstance(event, VerifierSetRegistered)
        current = evolve(current, event)
    return current


def _verifier(log: PostgresLog, member: Verifier) -> VerifierState:
    accused = log.read((QueryItem(tags=(accused_tag(member.id),)),), limit=ACCUSATIONS_MAX)
    return VerifierState(member.id, member.address, len(accused))


def _room(room: RoomRow, told: dict[str, Any] | None) -> RoomState:
    if told is None:
        young = time.time() * 1_000 - room.started_at_ms < SILENT_S * 1_000
        return RoomState(room.room, room.name, None, None, room.active_agents, "" if young else "it has no process")
    return RoomState(
        room.room, room.name, told.get("round"), told.get("speed"), room.active_agents, str(told.get("trouble", ""))
    )


def _faults(seen: Survey) -> Iterator[str]:
    yield from (f"{service.name}: {service.found}" for service in seen.services if not service.answers)
    chain = seen.chain
    if chain is not None and not chain.answers:
        yield f"the chain does not answer: {chain.found}"
    if seen.lag is not None and seen.lag.failure is not None:
        yield f"the tables stand at event {seen.lag.position}: {seen.lag.failure}"
    if seen.starting or seen.log_head is None:
        return
    if seen.lag is None:
        yield "there are no tables"
    if chain is not None and chain.set_version not in {None, seen.set_version}:
        yield f"the escrow counts verifier set {chain.set_version}, the log registered {seen.set_version}"
    known = {process.name for process in seen.processes}
    yield from (f"{name} is missing" for name in ALWAYS if name not in known)
    for process in seen.processes:
        if not process.alive:
            yield f"{process.name} has been silent for {process.silent_s:.0f} s"
        elif trouble := process.health.get("trouble"):
            yield f"{process.name}: {trouble}"
    yield from (f"{room.room}: {room.trouble}" for room in seen.rooms if room.round is None and room.trouble)


def _postgres(dsn: str) -> Service:
    try:
        with psycopg.connect(dsn, connect_timeout=int(CONNECT_TIMEOUT_S)) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        return Service("Postgres", answers=False, found=_line(error))
    return Service("Postgres", answers=True, found=f"version {version // 10_000}.{version % 10_000}")


def _redis(url: str) -> Service:
    connection = client(url)
    try:
        info = connection.info("server")
    except (redis.RedisError, OSError) as error:
        return Service("Redis", answers=False, found=_line(error))
    finally:
        connection.close()
    return Service("Redis", answers=True, found=f"version {info['redis_version']}")


def _ray(address: str) -> Service:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        return Service("Ray", answers=False, found=f"{address}: {_line(error)}")
    return Service("Ray", answers=True, found=f"at {address}")


def _line(error: BaseException) -> str:
    """Returns the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
