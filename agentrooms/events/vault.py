"""The vault: secrets the log refers to by hash. Their bytes are in no event, frame, prompt or log line."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from agentrooms.domain.canonical import canonical
from agentrooms.domain.mandate import SignedMandate, mandate_hash
from agentrooms.errors import AgentroomsError, InvalidInput


class NotInVault(AgentroomsError):
    """The log refers to a secret that this vault does not hold."""


class Vault(Protocol):
    """Keeps bytes by a key that the log holds. What is put once never changes."""

    def put(self, key: str, secret: bytes) -> None:
        """Keeps a secret; the same again changes nothing. Raises NotInVault when other bytes hold the key."""

    def put_many(self, secrets: Mapping[str, bytes]) -> None:
        """Keeps all secrets or none. Raises NotInVault when other bytes hold a key."""

    def get(self, key: str) -> bytes:
        """Returns a secret. Raises NotInVault."""

    def export(self) -> bytes:
        """Returns all secrets as canonical lines, sorted by key."""


class MemoryVault:
    """A vault in memory, for runs and tests."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def put(self, key: str, secret: bytes) -> None:
        """Keeps a secret."""
        self.put_many({key: secret})

    def put_many(self, secrets: Mapping[str, bytes]) -> None:
        """Keeps all secrets or none."""
        for key, secret in secrets.items():
            if self._secrets.get(key, secret) != secret:
                raise NotInVault(f"the vault holds other bytes for {key}")
        self._secrets.update(secrets)

    def get(self, key: str) -> bytes:
        """Returns a secret."""
        if key not in self._secrets:
            raise NotInVault(f"the vault holds nothing for {key}", hint="a live room's archive is sealed: no secrets")
        return self._secrets[key]

    def export(self) -> bytes:
        """Returns all secrets as canonical lines, sorted by key."""
        lines = [
            canonical({"key": k, "secret": base64.b64encode(v).decode()}) for k, v in sorted(self._secrets.items())
        ]
        return b"".join(line + b"\n" for line in lines)

    @classmethod
    def load(cls, data: bytes) -> MemoryVault:
        """Returns the vault an export holds. Raises NotInVault for bytes that are none."""
        vault = cls()
        try:
            for line in data.splitlines():
                entry = msgspec.json.decode(line, type=dict[str, str])
                vault.put(entry["key"], base64.b64decode(entry["secret"], validate=True))
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            raise NotInVault(f"not an exported vault: {error}") from error
        return vault


_MANDATE = msgspec.json.Decoder(SignedMandate)


def put_mandate(vault: Vault, signed: SignedMandate) -> str:
    """Keeps a signed mandate under its hash, which it returns."""
    key = mandate_hash(signed.mandate)
    vault.put(key, canonical(signed))
    return key


def put_mandates(vault: Vault, signed: Iterable[SignedMandate]) -> None:
    """Keeps signed mandates under their hashes, all at once."""
    vault.put_many({mandate_hash(one.mandate): canonical(one) for one in signed})


def get_mandate(vault: Vault, key: str) -> SignedMandate:
    """Returns the signed mandate of a hash. Raises NotInVault, also when the bytes are not it."""
    try:
        signed = _MANDATE.decode(vault.get(key))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotInVault(f"the vault's entry for {key} is no mandate: {error}") from error
    try:
        hashed = mandate_hash(signed.mandate)
    except InvalidInput:  # whose text may hold values of the mandate
        hashed = ""
    if hashed != key:
        raise NotInVault(f"the vault's entry for {key} has another hash")
    return signed
