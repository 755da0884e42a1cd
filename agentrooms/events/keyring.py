"""Agents' private keys at rest: sealed (NaCl secretbox) under a key of their room, in a vault that no archive holds."""

from __future__ import annotations

import hashlib
from typing import Protocol

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from agentrooms.domain.acceptance import AgentKeys, accept
from agentrooms.domain.deal import Acceptance, Terms
from agentrooms.events.vault import NotInVault, Vault

_KEYS = msgspec.msgpack.Decoder(AgentKeys)


class Signer(Protocol):
    """Gives agents' words for deals."""

    def sign(self, agent: str, terms: Terms) -> Acceptance | None:
        """Returns an agent's word for a deal, None when it has no keys."""


class Keyring:
    """The keys of one room's agents. `room_key` is the room's own secret."""

    def __init__(self, vault: Vault, room_key: bytes) -> None:
        self._vault = vault
        self._key = hashlib.blake2b(b"keyring", digest_size=SecretBox.KEY_SIZE, key=room_key).digest()
        self._opened: dict[str, AgentKeys] = {}

    def seal(self, agent: str, keys: AgentKeys) -> tuple[str, bytes]:
        """Returns under which name and as what bytes an agent's keys are kept.

        An agent has its keys once, so the nonce is its name's: the same keys give the same bytes.
        """
        nonce = hashlib.blake2b(agent.encode(), digest_size=SecretBox.NONCE_SIZE, key=self._key).digest()
        return _name(agent), bytes(SecretBox(self._key).encrypt(msgspec.msgpack.encode(keys), nonce))

    def sign(self, agent: str, terms: Terms) -> Acceptance | None:
        """Returns an agent's word for a deal, None when the vault has no keys of it that this room can open."""
        try:
            if agent not in self._opened:
                self._opened[agent] = self._open(agent)
        except NotInVault:
            return None
        return accept(agent, terms, self._opened[agent])

    def _open(self, agent: str) -> AgentKeys:
        try:
            return _KEYS.decode(SecretBox(self._key).decrypt(self._vault.get(_name(agent))))
        except (CryptoError, msgspec.DecodeError, ValueError) as error:
            raise NotInVault(f"the vault's entry {_name(agent)} is not sealed for this room") from error


def _name(agent: str) -> str:
    return f"keys/{agent}"
