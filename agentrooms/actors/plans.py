"""From an address to an actor: what any process needs to make any actor of the system. Plans are plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from agentrooms.actors.agent_host import AgentHost
from agentrooms.actors.messages import Scheduled
from agentrooms.actors.room import RoomActor, RoomConfig
from agentrooms.actors.runtime import Actor
from agentrooms.actors.settlement import SettlementActor
from agentrooms.actors.verifier import VerifierActor
from agentrooms.chain.port import Chain, ChainView
from agentrooms.consensus.votes import VerifierKeys
from agentrooms.domain.canonical import canonical
from agentrooms.domain.keys import derive_key
from agentrooms.domain.secp256k1 import derive_secret
from agentrooms.domain.verifier_set import VERIFIERS, Verifier, VerifierSet
from agentrooms.events.journal import Journal
from agentrooms.events.keyring import Keyring
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
    view: Callable[[], ChainView] | None = None
    """Gives a verifier a client of the chain of its own; None: it shares `chain`."""
    clock_ms: Callable[[], int] | None = None
    """The wall's time, which real chains keep; None where time is simulated."""


class RoomPlan(msgspec.Struct, frozen=True):
    """Makes a room and the hosts of its agents."""

    config: RoomConfig
    verifiers: VerifierSet

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the room, or the host at the address."""
        config = self.config
        if address == room_address(config.room):
            schedule = get_schedule(parts.memory, config.room)
            clock_ms = None if config.patient else parts.clock_ms
            return RoomActor(config, parts.store, parts.vault, parts.narrator, self.verifiers, schedule, clock_ms)
        journal = Journal(parts.store, config.room)
        signer = Keyring(parts.memory, config.run_key)
        return AgentHost(address, config.hosting, parts.vault, config.run_key, journal, signer)


class SettlementPlan(msgspec.Struct, frozen=True):
    """Makes the settlement of any room. `watcher` is told how far deals are."""

    verifiers: VerifierSet
    watcher: str
    patient: bool = True

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the settlement at the address."""
        return SettlementActor(address, self.watcher, parts.chain, parts.vault, self.verifiers, patient=self.patient)


class VerifierPlan(msgspec.Struct, frozen=True):
    """Makes one verifier. No other process is told its keys."""

    name: str
    keys: VerifierKeys
    set_version: int

    @property
    def member(self) -> Verifier:
        """The verifier's public side."""
        return self.keys.member(self.name)

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the verifier."""
        assert address == verifier_address(self.name)
        view: ChainView = parts.view() if parts.view is not None else parts.chain
        return VerifierActor(self.name, self.keys, view, parts.memory, set_version=self.set_version)


def verifier_plans(seed: bytes, set_version: int) -> tuple[VerifierPlan, ...]:
    """Returns the seven verifiers whose keys derive from a secret: those of a run, or of an installation."""
    names = (f"verifier_{n}" for n in range(1, VERIFIERS + 1))
    return tuple(VerifierPlan(name, verifier_keys(seed, name), set_version) for name in names)


def verifier_keys(seed: bytes, name: str) -> VerifierKeys:
    """Returns the keys of one verifier of that secret."""
    return VerifierKeys(bytes(derive_key(seed, "verifier", name)), derive_secret(seed[:64], "attestation", name))


class RemoteVerifierPlan(msgspec.Struct, frozen=True):
    """Makes the stand-in of a verifier that runs elsewhere. `caller` is the 32-byte key that signs our requests."""

    member: Verifier
    url: str
    caller: bytes

    @property
    def name(self) -> str:
        """The verifier's id."""
        return self.member.id

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the stand-in."""
        from agentrooms.actors.verifier_client import RemoteVerifier  # noqa: PLC0415 - HTTP, which few processes need

        assert address == verifier_address(self.name)
        return RemoteVerifier(self.member, self.url, self.caller)


def mixed_plans(
    seed: bytes, set_version: int, remotes: tuple[RemoteVerifierPlan, ...]
) -> tuple[VerifierPlan | RemoteVerifierPlan, ...]:
    """Returns a set of seven: those that run elsewhere, and as many of the secret's own as are missing."""
    elsewhere = {plan.name for plan in remotes}
    own = [plan for plan in verifier_plans(seed, set_version) if plan.name not in elsewhere]
    return (*own[: VERIFIERS - len(remotes)], *remotes)


Plan = RoomPlan | SettlementPlan | VerifierPlan | RemoteVerifierPlan


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
