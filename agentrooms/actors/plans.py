"""From an address to an actor: what any process needs to make any actor of the system. Plans are plain data."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from nacl.signing import SigningKey

from agentrooms.actors.agent_host import AgentHost
from agentrooms.actors.messages import Scheduled
from agentrooms.actors.room import RoomActor, RoomConfig
from agentrooms.actors.runtime import Actor
from agentrooms.actors.settlement import SettlementActor
from agentrooms.actors.verifier import VerifierActor
from agentrooms.chain.port import Chain
from agentrooms.domain.canonical import canonical
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.journal import Journal
from agentrooms.events.store import EventStore
from agentrooms.events.vault import NotInVault, Vault
from agentrooms.language import Wording

_SCHEDULE = msgspec.json.Decoder(tuple[Scheduled, ...])


@dataclass(frozen=True, slots=True)
class Parts:
    """What actors of one process use: the log, secrets, what services must remember, the chain, words."""

    store: EventStore
    vault: Vault
    memory: Vault
    chain: Chain
    narrator: Wording


class RoomPlan(msgspec.Struct, frozen=True):
    """Makes a room and the hosts of its agents."""

    config: RoomConfig
    verifiers: VerifierSet

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the room, or the host at the address."""
        config = self.config
        if address == room_address(config.room):
            schedule = get_schedule(parts.memory, config.room)
            return RoomActor(config, parts.store, parts.vault, parts.narrator, self.verifiers, schedule)
        journal = Journal(parts.store, config.room)
        return AgentHost(address, config.hosting, parts.vault, config.run_key, journal)


class SettlementPlan(msgspec.Struct, frozen=True):
    """Makes the settlement of any room."""

    verifiers: VerifierSet

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the settlement at the address."""
        return SettlementActor(address, parts.chain, parts.vault, self.verifiers)


class VerifierPlan(msgspec.Struct, frozen=True):
    """Makes one verifier. `key` is the 32-byte seed of its signing key, which no other process is told."""

    name: str
    key: bytes
    set_version: int

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the verifier."""
        assert address == verifier_address(self.name)
        key = SigningKey(self.key)
        return VerifierActor(self.name, key, parts.chain, parts.vault, parts.memory, set_version=self.set_version)


Plan = RoomPlan | SettlementPlan | VerifierPlan


def put_schedule(memory: Vault, room: str, schedule: tuple[Scheduled, ...]) -> None:
    """Keeps the commands of a run that are known from its start: too much for a plan, which each process gets."""
    memory.put(f"schedule/{room}", canonical(schedule))


def get_schedule(memory: Vault, room: str) -> tuple[Scheduled, ...]:
    """Returns a room's schedule; a live room has none."""
    try:
        return _SCHEDULE.decode(memory.get(f"schedule/{room}"))
    except NotInVault:
        return ()


def room_address(room: str) -> str:
    """Returns a room's address."""
    return f"room:{room}"


def settlement_address(room: str) -> str:
    """Returns the address of a room's settlement."""
    return f"settlement:{room}"


def verifier_address(name: str) -> str:
    """Returns a verifier's address."""
    return f"verifier:{name}"
