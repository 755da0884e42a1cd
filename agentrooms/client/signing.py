"""What a wallet signs, for programs that hold its key."""

from __future__ import annotations

import re
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from agentrooms.errors import InvalidInput

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def key_of(key: str | bytes) -> bytes:
    """Returns a private key as bytes. Raises InvalidInput, which does not repeat it."""
    if isinstance(key, bytes) and len(key) == 32:
        return key
    if isinstance(key, str) and _KEY.fullmatch(key):
        return bytes.fromhex(key.removeprefix("0x"))
    raise InvalidInput("a private key is 32 bytes, or 64 hex digits")


def sign_typed(key: str | bytes, typed_data: dict[str, Any]) -> str:
    """Returns a wallet's signature of typed data, such as a mandate's or a permit's (eth_signTypedData_v4)."""
    signable = encode_typed_data(full_message=typed_data)
    return str(Account.from_key(key_of(key)).sign_message(signable).signature.to_0x_hex())
