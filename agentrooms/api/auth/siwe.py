"""The text that a wallet signs to sign in (EIP-4361), and addresses in their checked spelling (EIP-55).

We make each text ourselves and keep it, so none is ever parsed.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from agentrooms.api.models.base import iso
from agentrooms.domain.eip712 import keccak

VERSION = 1
STATEMENT = "Sign in to Agentrooms. This moves nothing and costs nothing."
_NONCE = re.compile(r"[A-Za-z0-9]{8,}")
_STATEMENT = re.compile(r"[A-Za-z0-9 \-._~:/?#\[\]@!$&'()*+,;=]+")


class SignInText(msgspec.Struct, frozen=True):
    """What the text says. `origin` is where people reach us, such as https://agentrooms.example; times in ms."""

    origin: str
    wallet: str
    chain_id: int
    nonce: str
    issued_at_ms: int
    expires_at_ms: int
    statement: str = STATEMENT

    def __post_init__(self) -> None:
        assert _NONCE.fullmatch(self.nonce)
        assert _STATEMENT.fullmatch(self.statement)

    @property
    def domain(self) -> str:
        """The authority that asks: host, and port when it is not the usual one."""
        return domain_of(self.origin)

    def __str__(self) -> str:
        return (
            f"{self.domain} wants you to sign in with your Ethereum account:\n"
            f"{checksum_address(self.wallet)}\n"
            "\n"
            f"{self.statement}\n"
            "\n"
            f"URI: {self.origin}\n"
            f"Version: {VERSION}\n"
            f"Chain ID: {self.chain_id}\n"
            f"Nonce: {self.nonce}\n"
            f"Issued At: {iso(self.issued_at_ms)}\n"
            f"Expiration Time: {iso(self.expires_at_ms)}"
        )


def domain_of(origin: str) -> str:
    """Returns the domain of an origin, with its port when it names one."""
    return urlsplit(origin).netloc


def checksum_address(address: str) -> str:
    """Returns a lower-case address as EIP-55 spells it: a letter is upper case where the hash has 8 or more."""
    digits = address.removeprefix("0x")
    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, marks, strict=False)
    )


def signed_digest(text: str) -> bytes:
    """Returns the 32 bytes that a wallet signs for a text (EIP-191, personal_sign)."""
    data = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)
