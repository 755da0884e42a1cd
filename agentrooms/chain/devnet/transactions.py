"""Reading raw legacy transactions (RLP, EIP-155) strictly: one meaning, one form of bytes."""

from __future__ import annotations

from agentrooms.chain.devnet.engine import (
    GAS_PRICE_MAX_WEI,
    GAS_PRICE_MIN_WEI,
    TX_GAS_MAX,
    Transaction,
    TransactionRefused,
)
from agentrooms.domain.eip712 import ADDRESS_BYTES, WORD_BYTES, keccak
from agentrooms.domain.secp256k1 import recover

RAW_MAX_BYTES = 128 * 1024
INITCODE_MAX_BYTES = 49_152  # EIP-3860
FIELDS = 9  # nonce, gas price, gas, to, value, data, v, r, s
GAS_MIN = 21_000
GAS_CREATE = 32_000
GAS_INITCODE_WORD = 2
GAS_ZERO_BYTE, GAS_BYTE = 4, 16
NONCE_BYTES = 8
_SHORT = 55  # bytes whose length fits into the prefix
_STRING, _LIST = 0x80, 0xC0


def decode(raw: bytes, chain_id: int, *, sender: str | None = None) -> Transaction:
    """Returns what a raw transaction says; `sender`, when known, saves the recovery from the signature.

    Raises:
        TransactionRefused: it is no signed legacy transaction of this chain, in its one valid form.
    """
    if len(raw) > RAW_MAX_BYTES:
        raise TransactionRefused("too_large", f"the transaction has {len(raw)} bytes; {RAW_MAX_BYTES} are allowed")
    if raw[:1] and raw[0] < _STRING:
        raise TransactionRefused("typed", f"transactions of type {raw[0]} are not known here", hint="send a legacy one")
    fields = _fields(raw)
    nonce, price, gas, value, v, r, s = (int.from_bytes(fields[at], "big") for at in (0, 1, 2, 4, 6, 7, 8))
    to = fields[3]
    if to and len(to) != ADDRESS_BYTES:
        raise TransactionRefused("malformed", f"an address has {ADDRESS_BYTES} bytes, not {len(to)}")
    parity = v - 35 - 2 * chain_id
    if parity not in (0, 1):
        raise TransactionRefused("chain_id", f"v {v} is not of chain {chain_id}", hint="sign with EIP-155")
    signed = _list([*fields[:6], _integer(chain_id), b"", b""])
    if sender is None:
        signature = r.to_bytes(WORD_BYTES, "big") + s.to_bytes(WORD_BYTES, "big") + bytes([27 + parity])
        sender = recover(keccak(signed), signature.hex())
    if sender is None:
        raise TransactionRefused("signature", "nobody has signed the transaction", hint="s must be low")
    return Transaction(
        hash="0x" + keccak(raw).hex(),
        raw=raw,
        sender=sender,
        to="0x" + to.hex() if to else None,
        nonce=nonce,
        gas=gas,
        gas_price_wei=price,
        value_wei=value,
        data=fields[5],
        v=v,
        r=r,
        s=s,
    )


def check_gas(transaction: Transaction) -> None:
    """Checks gas price and limit against the bounds of the chain.

    Raises:
        TransactionRefused: one is out of bounds.
    """
    price, gas = transaction.gas_price_wei, transaction.gas
    if not GAS_PRICE_MIN_WEI <= price <= GAS_PRICE_MAX_WEI:
        raise TransactionRefused(
            "gas_price", f"gas price {price} is outside {GAS_PRICE_MIN_WEI} to {GAS_PRICE_MAX_WEI} wei"
        )
    least = intrinsic_gas(transaction.data, deploys=transaction.to is None)
    if not least <= gas <= TX_GAS_MAX:
        raise TransactionRefused("gas_limit", f"gas limit {gas} is outside {least} to {TX_GAS_MAX}")
    if transaction.to is None and len(transaction.data) > INITCODE_MAX_BYTES:
        raise TransactionRefused(
            "too_large", f"{len(transaction.data)} bytes of code; {INITCODE_MAX_BYTES} are allowed"
        )


def intrinsic_gas(data: bytes, *, deploys: bool) -> int:
    """Returns the gas a transaction costs before it does anything."""
    zeros = data.count(0)
    gas = GAS_MIN + GAS_ZERO_BYTE * zeros + GAS_BYTE * (len(data) - zeros)
    if deploys:
        gas += GAS_CREATE + GAS_INITCODE_WORD * -(-len(data) // WORD_BYTES)
    return gas


def _fields(raw: bytes) -> list[bytes]:
    """Reads a flat RLP list of nine strings: leniently, then the bytes must be what they encode to."""
    fields: list[bytes] = []
    try:
        at = 1 if raw[0] <= _LIST + _SHORT else 1 + raw[0] - _LIST - _SHORT
        while at < len(raw) and len(fields) <= FIELDS:
            start, at = _string(raw, at)
            fields.append(raw[start:at])
    except IndexError:
        fields = []
    if len(fields) != FIELDS or _list(fields) != raw:
        raise TransactionRefused("malformed", f"not RLP of {FIELDS} fields in canonical form")
    integers = [field for at, field in enumerate(fields) if at not in (3, 5)]
    if any(len(field) > WORD_BYTES or field[:1] == b"\0" for field in integers) or len(fields[0]) > NONCE_BYTES:
        raise TransactionRefused("malformed", "a number has leading zeros or too many bytes")
    return fields


def _string(raw: bytes, at: int) -> tuple[int, int]:
    """Returns where the string at a place begins and ends."""
    prefix = raw[at]
    if prefix < _STRING:
        return at, at + 1
    if prefix <= _STRING + _SHORT:
        return at + 1, at + 1 + prefix - _STRING
    if prefix < _LIST:
        size = prefix - _STRING - _SHORT
        return at + 1 + size, at + 1 + size + int.from_bytes(raw[at + 1 : at + 1 + size], "big")
    raise IndexError("a list within the list")


def _list(fields: list[bytes]) -> bytes:
    body = b"".join(field if len(field) == 1 and field[0] < _STRING else _prefix(field, _STRING) for field in fields)
    return _prefix(body, _LIST)


def _prefix(body: bytes, kind: int) -> bytes:
    if len(body) <= _SHORT:
        return bytes([kind + len(body)]) + body
    size = _integer(len(body))
    return bytes([kind + _SHORT + len(size)]) + size + body


def _integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
