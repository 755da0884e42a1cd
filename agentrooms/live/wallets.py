"""Mock wallets and other keys of the living system, all derived from the installation's secret.

They stand in for wallets of people until those sign in with their own. Nobody who lacks the secret can
derive a key, a salt or a draw of this installation.
"""

from __future__ import annotations

import hashlib

import msgspec

from agentrooms.domain.eip712 import EscrowDomain
from agentrooms.domain.ids import derive_id
from agentrooms.domain.mandate import Mandate, SignedMandate, sign_mandate
from agentrooms.domain.secp256k1 import address_of, derive_secret
from agentrooms.errors import InvalidInput

SECRET_BYTES = 32
KEY_BYTES = 16  # as `seed_bytes`
DEMO_WALLETS = 20


def check_secret(secret: bytes) -> None:
    """Raises InvalidInput for a secret that could be guessed."""
    if len(secret) != SECRET_BYTES:
        raise InvalidInput(
            f"an installation's secret has {SECRET_BYTES} bytes, was {len(secret)}", hint="draw it with `secrets`"
        )


def subkey(secret: bytes, purpose: str, name: str = "") -> bytes:
    """Returns the 16-byte key of one purpose and name; it tells nothing about the secret or another key."""
    material = f"{purpose}\x1f{name}".encode()
    return hashlib.blake2b(material, digest_size=KEY_BYTES, key=secret, person=b"agentrooms-live").digest()


def room_key(secret: bytes, room: str) -> bytes:
    """Returns the run key of a live room: what its order of acts, words and delays are drawn by."""
    return subkey(secret, "room", room)


def made_id(secret: bytes, kind: str, command: str) -> str:
    """Returns the id of what a command makes; another installation makes another of the same command."""
    return derive_id(kind, subkey(secret, "ids").hex(), command)


class Wallet(msgspec.Struct, frozen=True):
    """One mock wallet. `key` is its 32-byte private key."""

    key: bytes
    address: str

    def sign(self, mandate: Mandate, escrow: EscrowDomain) -> SignedMandate:
        """Returns the mandate with the wallet's signature."""
        return sign_mandate(mandate, escrow, self.key)


def mock_wallet(secret: bytes, name: str) -> Wallet:
    """Returns the mock wallet of a name, such as the id of its one agent."""
    key = derive_secret(subkey(secret, "wallets"), "wallet", name)
    return Wallet(key, address_of(key))


def demo_wallet(secret: bytes, number: int) -> Wallet:
    """Returns a demo wallet, 1 to DEMO_WALLETS. Raises InvalidInput."""
    if not 1 <= number <= DEMO_WALLETS:
        raise InvalidInput(f"demo wallets are 1 to {DEMO_WALLETS}, was {number}")
    return mock_wallet(secret, f"demo:{number}")


def operator(secret: bytes) -> str:
    """Returns the wallet address that owns the swarms of this installation."""
    return mock_wallet(secret, "operator").address
