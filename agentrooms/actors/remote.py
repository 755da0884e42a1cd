"""The log, the vaults and the chain as other processes use them: adapters of their ports over Ray actors.

A call whose answer was lost is made again. That is safe: what is put once never changes, a transaction is
sent once, and an append that had been done is found by its own bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from agentrooms.actors.messages import Message
from agentrooms.actors.plans import Parts
from agentrooms.actors.ray_runtime import Reply
from agentrooms.chain.ledger import Provided
from agentrooms.chain.port import Execution, RawTransaction, Sent, Standing
from agentrooms.chain.spec import ChainSpec
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.domain.deal import Terms
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.errors import AgentroomsError
from agentrooms.events.store import (
    EVERYTHING,
    Condition,
    Conflict,
    Positioned,
    Query,
    QueryItem,
    StoredEvent,
    StoreError,
)
from agentrooms.events.vault import NotInVault
from agentrooms.language import ScriptedNarrator

NAMESPACE = "agentrooms"
LOG, CHAIN = "log", "chain"  # addresses of the two services
REACH_S = 120.0  # how long a service that does not answer is asked again
BACKOFF_S = (0.05, 2.0)
END_S = 30.0  # how long ending a scope may take
END_POLL_S = 0.02
VAULT, MEMORY = "vault", "memory"


class Unreachable(StoreError):
    """A service of the system does not answer."""


class Service:
    """One named Ray actor of a scope. Calls are repeated while the actor is being made anew."""

    def __init__(self, scope: str, address: str) -> None:
        self.scope = scope
        self.address = address
        self._handle: Any = None

    def call(self, method: str, *arguments: Any, again: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401
        """Returns the answer. `again` replaces the call after a first one in doubt. Raises Unreachable."""
        until, wait = time.monotonic() + REACH_S, BACKOFF_S[0]
        while True:
            try:
                if self._handle is None:
                    self._handle = find(self.scope, self.address)
                return ray.get(getattr(self._handle, method).remote(*arguments))
            except RayTaskError as error:
                raise (error.cause if isinstance(error.cause, AgentroomsError) else error) from None
            except (RayActorError, ValueError) as error:
                self._handle = None
                if time.monotonic() > until:
                    raise Unreachable(
                        f"{self.scope}/{self.address} has not answered for {REACH_S:.0f} s",
                        hint="`agentrooms status` shows which processes live",
                    ) from error
            time.sleep(wait)
            wait = min(BACKOFF_S[1], wait * 2)
            if again is not None:
                found = again()
                if found is not None:
                    return found


class RemoteStore:
    """The log, as other processes see it."""

    def __init__(self, scope: str) -> None:
        self._log = Service(scope, LOG)

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        """Appends all events, or returns the conflict and appends none."""
        doubted = False

        def again() -> int | None:
            nonlocal doubted
            doubted = True
            return self._find(events, condition)

        done: int | Conflict = self._log.call("append", tuple(events), condition, again=again)
        if doubted and isinstance(done, Conflict):  # perhaps with the first attempt, which was done after all
            found = self._find(events, condition)
            return done if found is None else found
        return done

    def read(self, query: Query = EVERYTHING, *, after: int = 0, limit: int | None = None) -> list[Positioned]:
        """Returns matching events after a position, in order."""
        found: list[Positioned] = self._log.call("read", query, after, limit)
        return found

    def head(self) -> int:
        """Returns the last position."""
        head: int = self._log.call("head")
        return head

    def _find(self, events: Sequence[StoredEvent], condition: Condition) -> int | None:
        """Returns where these very events stand, None when they were not appended."""
        if not events:
            return None
        found = self.read((QueryItem(tags=events[0].tags),), after=condition.after, limit=1)
        if not found or found[0].event != events[0]:
            return None
        return found[0].position + len(events) - 1  # an append is dense


class RemoteVault:
    """One of the log's two vaults."""

    def __init__(self, scope: str, table: str) -> None:
        self._log = Service(scope, LOG)
        self._table = table

    def put(self, key: str, secret: bytes) -> None:
        """Keeps a secret."""
        self.put_many({key: secret})

    def put_many(self, secrets: Mapping[str, bytes]) -> None:
        """Keeps all secrets or none."""
        self._log.call("put_many", self._table, dict(secrets))

    def get(self, key: str) -> bytes:
        """Returns a secret."""
        secret: bytes | None = self._log.call("get", self._table, key)
        if secret is None:
            raise NotInVault(f"the vault holds nothing for {key}", hint="a live room's archive is sealed: no secrets")
        return secret

    def export(self) -> bytes:
        """Returns all secrets as canonical lines."""
        lines: bytes = self._log.call("export", self._table)
        return lines


class RemoteChain:
    """The chain of a scope."""

    def __init__(self, scope: str, site: Site) -> None:
        self._chain = Service(scope, CHAIN)
        self.site = site

    def facts(self, case: Case, at_ms: int) -> Facts:
        """Returns what the chain knows of a deal."""
        facts: Facts = self._chain.call("facts", case, at_ms)
        return facts

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the transaction that settles a deal."""
        raw: RawTransaction = self._chain.call("prepare", execution)
        return raw

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends a transaction."""
        self._chain.call("send", raw, at_ms)

    def reprice(self, tx_hash: str) -> RawTransaction:
        """Returns a transaction that takes a stuck one's place."""
        raw: RawTransaction = self._chain.call("reprice", tx_hash)
        return raw

    def sent(self, tx_hash: str) -> Sent:
        """Returns how far a transaction is."""
        sent: Sent = self._chain.call("sent", tx_hash)
        return sent

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        """Returns what the final chain says of a deal."""
        standing: Standing = self._chain.call("standing", terms, at_ms)
        return standing

    def provide(self, provided: Provided) -> None:
        """Gives the simulated chain money, items and verifiers, once a key."""
        self._chain.call("provide", provided)

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the simulated chain count certificates against this set."""
        self._chain.call("register", verifiers)


def find(scope: str, address: str) -> Any:  # noqa: ANN401 - Ray's handles have no types of their own
    """Returns the handle of a named actor. Raises ValueError when there is none."""
    return ray.get_actor(f"{scope}/{address}", namespace=NAMESPACE)


def named(scope: str) -> list[str]:
    """Returns the names of a scope's living actors."""
    actors = ray.util.list_named_actors(all_namespaces=True)
    return sorted(a["name"] for a in actors if a["namespace"] == NAMESPACE and a["name"].startswith(f"{scope}/"))


def this_process() -> dict[str, Any]:
    """Returns who and where this process is."""
    return {"pid": os.getpid(), "node": ray.get_runtime_context().get_node_id()}


def end(scope: str) -> None:
    """Ends all actors of a scope, also those that others make meanwhile, and waits until their names are free again.

    Until then whoever makes an actor anew would be given the dying one.
    """
    until = time.monotonic() + END_S
    while (names := named(scope)) and time.monotonic() < until:
        for name in names:
            with suppress(ValueError):  # it has gone meanwhile
                ray.kill(ray.get_actor(name, namespace=NAMESPACE))
        time.sleep(END_POLL_S)


def connect_parts(scope: str, chain: ChainSpec) -> Parts:
    """Returns what actors of a process use, all of it in other processes; verifiers look at the chain for themselves."""
    remote = RemoteChain(scope, chain.site)
    return Parts(
        RemoteStore(scope),
        RemoteVault(scope, VAULT),
        RemoteVault(scope, MEMORY),
        remote,
        ScriptedNarrator(),
        lambda: chain.view() or remote,
        lambda: time.time_ns() // 1_000_000,
    )


class CellLine:
    """The way to a logical actor in a cell."""

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - see find
        self._handle = handle

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Future[Reply]:
        """Sends a message."""
        future: Future[Reply] = self._handle.deliver.remote(sender, number, address, message).future()
        return future
