"""A verifier's own place: its two keys and its memory in a data folder of its own, and the chain it looks at."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agentrooms.actors.plans import verifier_keys
from agentrooms.chain.evm.chain import LOCAL, ChainMismatch, EvmChain, Pace
from agentrooms.chain.evm.devnet import LIVE_CHAIN_ID, site_of
from agentrooms.chain.evm.opening import view_evm
from agentrooms.chain.evm.view import EvmView
from agentrooms.chain.spec import ChainMode, ChainSpec
from agentrooms.consensus.votes import VerifierKeys
from agentrooms.domain.verifier_set import Verifier
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.file_vault import FileVault
from agentrooms.events.vault import Vault
from agentrooms.live.chain import public_site
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings

KEYS, MEMORY = "secret", "memory.sqlite"  # files of the data folder; the keys derive from its secret


class MemoryLost(AgentroomsError):
    """A verifier has keys and no memory of what it decided with them."""


class Identity(msgspec.Struct, frozen=True):
    """A verifier's name and its two keys."""

    name: str
    keys: VerifierKeys

    @property
    def member(self) -> Verifier:
        """Its public side, as a set registers it."""
        return self.keys.member(self.name)


class Home(msgspec.Struct, frozen=True):
    """All that a verifier service decides with. `chain` also settles; it is there when a relayer's key is set."""

    identity: Identity
    memory: Vault
    view: EvmView
    chain: EvmChain | None
    set_version: int
    callers: frozenset[str]


def identity(settings: Settings) -> Identity:
    """Returns who the verifier of a data folder is; keys and an empty memory are made at the first call.

    Raises:
        InvalidInput: VERIFIER_NAME is not set.
        MemoryLost: the folder has keys and no memory.
    """
    if settings.verifier_name is None:
        raise InvalidInput("VERIFIER_NAME is not set", hint="the verifier's id in its set, such as verifier_5")
    folder = DataFolder(settings.verifier_data)
    if not (folder.path / KEYS).exists():
        with folder.own("agentrooms verifier identity"):
            FileVault(folder.path / MEMORY).close()  # before the keys: who has keys has a memory
            folder.secret()
    if not (folder.path / MEMORY).exists():
        raise MemoryLost(
            f"{folder.path} has a verifier's keys and no {MEMORY}: one that forgot may contradict itself",
            hint="make a verifier with new keys in a new folder, and register that in place of this one",
        )
    return Identity(settings.verifier_name, verifier_keys(folder.secret(), settings.verifier_name))


def home(settings: Settings, memory: Vault) -> Home:
    """Returns what the service of these settings decides with; asks the chain whether it is the one that is meant.

    Raises InvalidInput when a setting is missing, ChainError when the chain is another or does not answer.
    """
    if settings.verifier_callers is None:
        raise InvalidInput("VERIFIER_CALLERS is not set", hint="`agentrooms verifier caller` prints an installation's")
    spec = chain_spec(settings)
    view = view_evm(spec)
    found = view.rpc.number("eth_chainId")
    if found != spec.site.chain_id:
        raise ChainMismatch(f"the node is chain {found}, configured is {spec.site.chain_id}", hint="see CHAIN_MODE")
    callers = frozenset(settings.verifier_callers.split(","))
    chain = _settling(spec, memory)
    return Home(identity(settings), memory, view, chain, settings.verifier_set_version, callers)


def memory_of(settings: Settings) -> Path:
    """Returns the file of the verifier's memory."""
    return DataFolder(settings.verifier_data).path / MEMORY


def chain_spec(settings: Settings) -> ChainSpec:
    """Returns the chain that the settings name, through an address. Raises InvalidInput when something is missing."""
    mode = ChainMode(settings.chain_mode)
    if mode is ChainMode.LEDGER:
        raise InvalidInput("a ledger is within one system: no remote verifier can look at it", hint="see CHAIN_MODE")
    if settings.chain_url is None:
        raise InvalidInput("CHAIN_URL is not set", hint="the JSON-RPC that this verifier looks at the chain through")
    key = settings.relayer_key
    relayer = bytes.fromhex(key.get_secret_value().removeprefix("0x")) if key is not None else b""
    site = public_site(settings) if mode is ChainMode.ARK else site_of(LIVE_CHAIN_ID)
    return ChainSpec(mode=mode, site=site, url=settings.chain_url, relayer=relayer)


def _settling(spec: ChainSpec, memory: Vault) -> EvmChain | None:
    """Returns the chain to execute deals on, through a client of its own; the account must be this service's alone."""
    if not spec.relayer:
        return None
    pace = Pace(confirmations=spec.confirmations) if spec.mode is ChainMode.ARK else LOCAL
    return EvmChain(view_evm(spec).rpc, spec.site, spec.relayer, memory, pace=pace)
