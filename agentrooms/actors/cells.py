"""The Ray actors. A cell is a process that hosts logical actors; what they are is in its plan.

Each is detached and named, so whoever needs it finds it; Ray makes a dead one anew, and it reads in the log
what it was. Calls to one cell are worked off one after the other, except those of the log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec
import ray

from agentrooms.actors.broadcast import publisher
from agentrooms.actors.messages import Message
from agentrooms.actors.plans import Plan
from agentrooms.actors.ray_runtime import Reply
from agentrooms.actors.remote import (
    CHAIN,
    LOG,
    MEMORY,
    NAMESPACE,
    VAULT,
    RemoteVault,
    Venues,
    connect_parts,
    this_process,
)
from agentrooms.actors.runtime import Actor
from agentrooms.chain.ledger import LedgerChain, Provided
from agentrooms.chain.port import Execution, RawTransaction
from agentrooms.consensus.judgement import Facts
from agentrooms.domain.deal import Receipt, Terms
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.postgres_fence import Fenced
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import Condition, Conflict, EventStore, Positioned, Query, StoredEvent
from agentrooms.events.vault import MemoryVault, NotInVault, Vault

SENDERS_MAX = 1_000  # loops whose last answer a cell keeps
CONCURRENT_MAX = 64  # calls that the log works on at once
SHARE = 0.001  # of the resource `head`, and of a CPU: actors wait more than they work
T = TypeVar("T")


class LogSpec(msgspec.Struct, frozen=True):
    """Where a scope's log is: a schema in Postgres, or without one in the memory of its process."""

    dsn: str | None
    schema: str
    redis_url: str | None = None


class Cell:
    """Hosts the logical actors of one plan, each made when it is first spoken to."""

    def __init__(self, scope: str, plan: Plan, venues: Venues) -> None:
        self._plan = plan
        self._parts = connect_parts(scope, venues)
        self._life = secrets.token_hex(8)
        self._actors: dict[str, tuple[str, Actor]] = {}
        self._answered: OrderedDict[tuple[str, str], tuple[int, Reply]] = OrderedDict()
        self._made = 0

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Reply:
        """Lets an actor handle a message. One that fails is thrown away: its next life reads the log."""
        last = self._answered.get((sender, address))
        if last is not None and last[0] == number:
            return last[1]
        life, actor = self._actor(address)
        try:
            reply = Reply(life, actor.receive(message))
        except BaseException:
            del self._actors[address]
            raise
        self._answered[sender, address] = (number, reply)
        while len(self._answered) > SENDERS_MAX:
            self._answered.popitem(last=False)
        return reply

    def health(self) -> dict[str, Any]:
        """Returns this process's id and whom it hosts."""
        return {**this_process(), "hosts": sorted(self._actors)}

    def _actor(self, address: str) -> tuple[str, Actor]:
        if address not in self._actors:
            self._made += 1
            self._actors[address] = (f"{self._life}/{self._made}", self._plan.make(address, self._parts))
        return self._actors[address]


class LogCell:
    """The log writer and the vaults of a scope."""

    def __init__(self, spec: LogSpec) -> None:
        self._store: EventStore
        self._vaults: dict[str, Vault]
        if spec.dsn is None:
            self._store = MemoryEventStore()
            self._vaults = {VAULT: MemoryVault(), MEMORY: MemoryVault()}
            return
        self._store = LogWriter(spec.dsn, spec.schema, publish=publisher(spec.redis_url))
        self._vaults = {table: PostgresVault(spec.dsn, spec.schema, table=table) for table in (VAULT, MEMORY)}

    async def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends, together with what others append at the same time."""
        if not isinstance(self._store, LogWriter):
            return self._store.append(events, condition)
        try:
            return await asyncio.wrap_future(self._store.submit(events, condition))
        except Fenced:
            _end()  # another log writer has taken over: this one must not come back

    async def read(self, query: Query, after: int, limit: int | None) -> list[Positioned]:
        """Returns matching events."""
        return await self._aside(lambda: self._store.read(query, after=after, limit=limit))

    async def head(self) -> int:
        """Returns the last position."""
        return await self._aside(self._store.head)

    async def put_many(self, table: str, secrets: dict[str, bytes]) -> None:
        """Keeps all secrets or none."""
        await self._aside(lambda: self._vaults[table].put_many(secrets))

    async def get(self, table: str, key: str) -> bytes | None:
        """Returns a secret, None when there is none."""
        return await self._aside(lambda: _get(self._vaults[table], key))

    async def export(self, table: str) -> bytes:
        """Returns all secrets."""
        return await self._aside(self._vaults[table].export)

    async def health(self) -> dict[str, Any]:
        """Returns this process's id and where the log stands."""
        known = msgspec.to_builtins(self._store.stats()) if isinstance(self._store, LogWriter) else {}
        return {**this_process(), **known}

    async def _aside(self, work: Callable[[], T]) -> T:
        """Runs work that may wait for the database beside the loop; memory is looked at at once, in one thread."""
        if not isinstance(self._store, LogWriter):
            return work()
        return await asyncio.get_running_loop().run_in_executor(None, work)


class ChainCell:
    """The simulated chain of a scope."""

    def __init__(self, scope: str, spec: LogSpec) -> None:
        memory: Vault = (
            RemoteVault(scope, MEMORY) if spec.dsn is None else PostgresVault(spec.dsn, spec.schema, table=MEMORY)
        )
        self._chain = LedgerChain(memory)

    def provide(self, provided: Provided) -> None:
        """Gives money, items and verifiers, once a key."""
        self._chain.provide(provided)

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the escrow count certificates against this set."""
        self._chain.register(verifiers)

    def facts(self, terms: Terms, at_ms: int) -> Facts:
        """Returns what the chain knows of a deal."""
        return self._chain.facts(terms, at_ms)

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the transaction that settles a deal."""
        return self._chain.prepare(execution)

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends a transaction."""
        self._chain.send(raw, at_ms)

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Returns the final receipt."""
        return self._chain.receipt(tx_hash)

    def health(self) -> dict[str, Any]:
        """Returns this process's id and the last block."""
        return {**this_process(), "block": self._chain.block}


def create(kind: type, scope: str, address: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - see find
    """Returns the handle of a named, detached actor, made now or before, here or by another process.

    `head=True` binds it to the node that has the services; all others are spread over the nodes with CPUs.
    """
    head = options.pop("head", False)
    return (
        ray.remote(kind)
        .options(
            name=f"{scope}/{address}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=options.pop("max_restarts", -1),
            max_task_retries=0,
            num_cpus=0 if head else SHARE,
            resources={"head": SHARE} if head else None,
            scheduling_strategy="DEFAULT" if head else "SPREAD",
            **options,
        )
        .remote(*arguments)
    )


def create_services(scope: str, spec: LogSpec) -> None:
    """Makes the log and the chain of a scope."""
    lasting = -1 if spec.dsn is not None else 0  # memory does not come back: better an error than an empty log
    create(LogCell, scope, LOG, spec, head=True, max_restarts=lasting, max_concurrency=CONCURRENT_MAX)
    create(ChainCell, scope, CHAIN, scope, spec, head=True)


def _end() -> NoReturn:
    """Ends this process for good: Ray does not make it anew."""
    ray.actor.exit_actor()  # type: ignore[no-untyped-call]
    raise AssertionError


def _get(vault: Vault, key: str) -> bytes | None:
    try:
        return vault.get(key)
    except NotInVault:
        return None
