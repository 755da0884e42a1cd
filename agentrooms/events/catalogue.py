"""Every event type by its stable name. Names and versions are storage format: never rename, never reuse.

An *input* came from outside the deciders (a command, a chain's verdict, a signature); a *derived*
event follows from inputs and is recomputed by re-execution. `input_fields` are the fields of a
derived event that came from outside (the wording of an act).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from agentrooms.domain import agent, collection, deal, ledger, room, swarm, user, verifier_set
from agentrooms.domain.event import Event
from agentrooms.domain.terms import LeaveReason
from agentrooms.errors import AgentroomsError


class Origin(StrEnum):
    """Whether an event is fed to a re-execution or recomputed by it."""

    INPUT = "input"
    DERIVED = "derived"


class EventType(msgspec.Struct, frozen=True):
    """One entry of the catalogue. A private event goes to its owner only; others see its number, not its body.

    An event that is derived as a rule is an input when its `reason` is one of `input_reasons`.
    """

    name: str
    version: int
    type: type[Event]
    origin: Origin
    input_fields: tuple[str, ...] = ()
    input_reasons: tuple[str, ...] = ()
    private: bool = False


class UnknownEvent(AgentroomsError):
    """The log holds an event type or version that this program does not know."""


_IN, _OUT = Origin.INPUT, Origin.DERIVED

CATALOGUE: tuple[EventType, ...] = (
    EventType("act.posted", 1, room.ActPosted, _OUT, input_fields=("text", "wording")),
    EventType("acts.explained", 1, room.ActsExplained, _OUT, private=True),
    EventType("agent.left", 1, agent.AgentLeft, _OUT, input_reasons=(LeaveReason.USER_REMOVED,)),
    EventType("agent.paused", 1, agent.AgentPaused, _IN),
    EventType("agent.reconfigured", 1, agent.AgentReconfigured, _IN),
    EventType("agent.resumed", 1, agent.AgentResumed, _IN),
    EventType("agent.spawned", 1, agent.AgentSpawned, _IN),
    EventType("collection.closed", 1, collection.CollectionClosed, _IN),
    EventType("collection.registered", 1, collection.CollectionRegistered, _IN),
    EventType("deal.certified", 1, deal.DealCertified, _IN),
    EventType("deal.completed", 1, deal.DealCompleted, _IN),
    EventType("deal.failed", 1, deal.DealFailed, _OUT, input_reasons=(deal.FailReason.EXPIRED,)),
    EventType("deal.locked", 1, deal.DealLocked, _OUT),
    EventType("deal.verifying", 1, deal.DealVerifying, _IN),
    EventType("escrow.submitted", 1, deal.EscrowSubmitted, _IN),
    EventType("ledger.funded", 1, ledger.LedgerFunded, _IN),
    EventType("ledger.minted", 1, ledger.LedgerMinted, _IN),
    EventType("person.spoke", 1, room.PersonSpoke, _IN),
    EventType("quote.expired", 1, room.QuoteExpired, _OUT),
    EventType("room.closed", 1, room.RoomClosed, _OUT, input_reasons=(room.CloseReason.REQUESTED,)),
    EventType("room.opened", 1, room.RoomOpened, _IN),
    EventType("swarm.completed", 1, swarm.SwarmCompleted, _OUT),
    EventType("swarm.paused", 1, swarm.SwarmPaused, _IN),
    EventType("swarm.resumed", 1, swarm.SwarmResumed, _IN),
    EventType("swarm.speed_set", 1, swarm.SwarmSpeedSet, _IN),
    EventType("swarm.started", 1, swarm.SwarmStarted, _IN),
    EventType("user.registered", 1, user.UserRegistered, _IN),
    EventType("verifier.accused", 1, deal.VerifierAccused, _IN),
    EventType("verifiers.registered", 1, verifier_set.VerifierSetRegistered, _IN),
    EventType("wallet.budgeted", 1, user.WalletBudgeted, _IN),
    EventType("wallet.fueled", 1, ledger.WalletFueled, _IN),
)

BY_NAME = {entry.name: entry for entry in CATALOGUE}
BY_TYPE = {entry.type: entry for entry in CATALOGUE}

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS: dict[tuple[str, int], Upcast] = {}
"""Turns the fields of a name's version into those of the next; stored bytes never change."""

_DECODERS = {entry.name: msgspec.json.Decoder(entry.type) for entry in CATALOGUE}


def decode(name: str, version: int, data: bytes | msgspec.Raw) -> Event:
    """Returns the event of stored fields, lifted to the current version. Raises UnknownEvent."""
    entry = BY_NAME.get(name)
    if entry is None or not 1 <= version <= entry.version:
        raise UnknownEvent(
            f"event type {name!r} version {version} is not in the catalogue",
            hint="read this log with the version of agentrooms that wrote it, or a later one",
        )
    try:
        if version == entry.version:
            return _DECODERS[name].decode(data)
        fields = msgspec.json.decode(data, type=dict[str, Any])
        for step in range(version, entry.version):
            fields = UPCASTS[name, step](fields)
        return msgspec.convert(fields, entry.type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownEvent(f"an event of type {name!r} does not have its fields: {error}") from error
