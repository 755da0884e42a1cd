"""The Ray actors of the services that others use: the log with its vaults, and the simulated chain.

Apart from the other cells: only these load the drivers of Postgres and Redis.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec
import ray

from agentrooms.actors.broadcast import publisher
from agentrooms.actors.cells import create
from agentrooms.actors.progress_board import ProgressBoard
from agentrooms.actors.remote import CHAIN, LOG, MEMORY, VAULT, RemoteVault, this_process
from agentrooms.chain.ledger import Provided
from agentrooms.chain.port import ChainError, Execution, RawTransaction, Sent, Standing
from agentrooms.chain.spec import ChainSpec, ProvidedChain
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.domain.deal import Terms
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.postgres_fence import Fenced
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import Condition, Conflict, EventStore, Positioned, Query, StoredEvent, StoreError
from agentrooms.events.vault import MemoryVault, NotInVault, Vault

CONCURRENT_MAX = 64  # calls that the log works on at once
T = TypeVar("T")


class LogSpec(msgspec.Struct, frozen=True):
    """Where a scope's log is: a schema in Postgres, or without one in the memory of its process."""

    dsn: str | None
    schema: str
    redis_url: str | None = None


class LogCell:
    """The log writer and the vaults of a scope."""

    def __init__(self, spec: LogSpec) -> None:
        self._store: EventStore
        self._vaults: dict[str, Vault]
        self._board = ProgressBoard(spec.redis_url) if spec.redis_url is not None else None
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
            _end()  # another log writer has taken over: this one must not come back by itself
        except StoreError:
            if self._store.failed:
                os._exit(1)  # it writes nothing any more; made anew, it looks at what stands in the log
            raise

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

    async def progress(self, room: str, percents: dict[str, int | None]) -> None:
        """Shows how far deals of a room are, or not, where there is no Redis: nothing of it is kept."""
        if self._board is not None:
            self._board.note(room, percents)

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
    """The chain of a scope, to settle on: the one place that sends transactions."""

    def __init__(self, scope: str, spec: LogSpec, chain: ChainSpec) -> None:
        memory: Vault = (
            RemoteVault(scope, MEMORY) if spec.dsn is None else PostgresVault(spec.dsn, spec.schema, table=MEMORY)
        )
        self._chain = chain.open(memory)

    def provide(self, provided: Provided) -> None:
        """Gives money, items and verifiers, once a key."""
        self._given().provide(provided)

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the escrow count certificates against this set."""
        self._chain.register(verifiers)

    def facts(self, case: Case, at_ms: int) -> Facts:
        """Returns what the chain knows of a deal."""
        return self._chain.facts(case, at_ms)

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the transaction that settles a deal."""
        return self._chain.prepare(execution)

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends a transaction."""
        self._chain.send(raw, at_ms)

    def reprice(self, tx_hash: str) -> RawTransaction:
        """Returns a transaction that takes a stuck one's place."""
        return self._chain.reprice(tx_hash)

    def sent(self, tx_hash: str) -> Sent:
        """Returns how far a transaction is."""
        return self._chain.sent(tx_hash)

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        """Returns what the final chain says of a deal."""
        return self._chain.standing(terms, at_ms)

    def health(self) -> dict[str, Any]:
        """Returns this process's id and which chain it is."""
        return {**this_process(), "chain_id": self._chain.site.chain_id}

    def _given(self) -> ProvidedChain:
        if not isinstance(self._chain, ProvidedChain):
            raise ChainError("this chain is public: nobody can be given anything there")
        return self._chain


def create_services(scope: str, spec: LogSpec, chain: ChainSpec) -> None:
    """Makes the log and the chain of a scope."""
    lasting = -1 if spec.dsn is not None else 0  # memory does not come back: better an error than an empty log
    create(LogCell, scope, LOG, spec, head=True, max_restarts=lasting, max_concurrency=CONCURRENT_MAX)
    create(ChainCell, scope, CHAIN, scope, spec, chain, head=True)


def _end() -> NoReturn:
    """Ends this process for good: Ray does not make it anew."""
    ray.actor.exit_actor()  # type: ignore[no-untyped-call]
    raise AssertionError


def _get(vault: Vault, key: str) -> bytes | None:
    try:
        return vault.get(key)
    except NotInVault:
        return None
