"""Typed structured data (EIP-712): what wallets show when they sign, and what the escrow recomputes.

Only what our three types need: words of 32 bytes. A mandate's and a deal's hash are struct hashes, the
same on every chain; a signature is over the digest, which names chain and escrow.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from Crypto.Hash import keccak as _keccak

from agentrooms.errors import InvalidInput

ADDRESS_BYTES = 20
WORD_BYTES = 32
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
DOMAIN_NAME, DOMAIN_VERSION = "AgentroomsEscrow", "1"
WORD_MAX = (1 << 256) - 1
ZERO_ADDRESS = "0x" + "0" * 40
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD = re.compile(r"[0-9a-f]{64}")


class EscrowDomain(msgspec.Struct, frozen=True):
    """The one escrow that a signature is for. The address in lower-case hex."""

    chain_id: int
    address: str


def keccak(data: bytes) -> bytes:
    """Returns the Keccak-256 hash, which Ethereum uses (not SHA3-256)."""
    return _keccak.new(data=data, digest_bits=256).digest()


def is_address(text: str) -> bool:
    """Tells whether a text is an address in lower-case hex."""
    return _ADDRESS.fullmatch(text) is not None


def shortened(text: str) -> str:
    """Returns an address as people read it, such as `0xb47e…3bbb`."""
    return f"{text[:6]}…{text[-4:]}"


def uint(value: int) -> bytes:
    """Returns a uint256 word. Raises InvalidInput for what is none."""
    if not 0 <= value <= WORD_MAX:
        raise InvalidInput(f"not an unsigned integer of 256 bits: {value}")
    return value.to_bytes(WORD_BYTES, "big")


def address(text: str) -> bytes:
    """Returns an address as a word. Raises InvalidInput for what is none."""
    if not is_address(text):
        raise InvalidInput(f"not an address: {text[:80]!a}", hint="0x and 40 lower-case hex digits")
    return bytes.fromhex(text[2:]).rjust(WORD_BYTES, b"\0")


def word(text: str) -> bytes:
    """Returns 32 bytes given in hex. Raises InvalidInput for what is none."""
    if _WORD.fullmatch(text) is None:
        raise InvalidInput(f"not 32 bytes in lower-case hex: {text[:80]!a}")
    return bytes.fromhex(text)


@lru_cache(maxsize=64)
def type_hash(type_: str) -> bytes:
    """Returns the hash of a type as it is written, such as `Deal(bytes32 dealId,...)`."""
    return keccak(type_.encode("ascii"))


def members(type_: str) -> list[dict[str, str]]:
    """Returns a type as it is written, such as `Trait(bytes32 key,bytes32 value)`, as the list that wallets take."""
    pairs = (member.split(" ") for member in type_.partition("(")[2].removesuffix(")").split(","))
    return [{"name": name, "type": kind} for kind, name in pairs]


def struct_hash(type_: str, *words: bytes) -> bytes:
    """Returns the hash of a struct of this type; its members are words, dynamic ones by their hash."""
    return keccak(type_hash(type_) + b"".join(words))


@lru_cache(maxsize=64)
def domain_separator(contract: EscrowDomain, name: str = DOMAIN_NAME, version: str = DOMAIN_VERSION) -> bytes:
    """Returns what binds a signature to one chain and contract, our escrow unless another is named."""
    named = keccak(name.encode()), keccak(version.encode())
    return struct_hash(DOMAIN_TYPE, *named, uint(contract.chain_id), address(contract.address))


def digest(contract: EscrowDomain, hashed: bytes, *, name: str = DOMAIN_NAME, version: str = DOMAIN_VERSION) -> bytes:
    """Returns what is signed for a struct of this hash."""
    return keccak(b"\x19\x01" + domain_separator(contract, name, version) + hashed)
