"""Transactions and receipts of chains with an EVM, decoded: who pays for the gas, and what the logs say."""

from __future__ import annotations

from typing import Any

from eth_abi.exceptions import DecodingError, EncodingError

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.devnet.engine import Transaction as Read
from agentrooms.chain.devnet.transactions import decode
from agentrooms.chain.evm.abi import event, type_of
from agentrooms.chain.evm.calls import deal_key, execute_data
from agentrooms.chain.port import Execution
from agentrooms.domain.assets import token_number
from agentrooms.domain.deal import ChainLog, EscrowSubmitted, Receipt, Terms, deal_hash
from agentrooms.domain.eip712 import keccak
from agentrooms.errors import AgentroomsError
from agentrooms.sim.evidence.records import (
    NOT_KNOWN,
    OTHER,
    Checked,
    EmittedLog,
    Settled,
    Transaction,
    bad,
    holds,
    unchecked,
)

DUE = ("payment", "delivery", "execution")
UNKNOWN = "unknown"


def transaction(submitted: EscrowSubmitted, raw: bytes, terms: Terms, execution: Execution | None) -> Transaction:
    """Returns what a stored transaction says; `execution` is what it should do, None where that is not known."""
    tx_hash, round_ = submitted.tx_hash, submitted.round
    try:
        read = decode(raw, terms.chain_id)
    except AgentroomsError as error:
        return Transaction(tx_hash=tx_hash, round=round_, checked=bad(f"its bytes are no transaction: {error}"))
    return Transaction(
        tx_hash=tx_hash,
        round=round_,
        nonce=read.nonce,
        gas=read.gas,
        gas_price_wei=read.gas_price_wei,
        signer=read.sender,
        to=read.to,
        calldata_bytes=len(read.data),
        checked=_checked(tx_hash, read, terms, execution),
    )


def _checked(tx_hash: str, read: Read, terms: Terms, execution: Execution | None) -> Checked:
    if tx_hash != read.hash:
        return bad("its bytes have another hash")
    if read.to != terms.escrow:
        return bad(f"it goes to {read.to}, not to the escrow {terms.escrow}")
    if execution is None:
        return unchecked(NOT_KNOWN)
    try:
        due = execute_data(execution)
    except (AssertionError, AgentroomsError, EncodingError, ValueError) as error:
        return bad(f"what the log says of the deal cannot be executed: {error}")
    return holds(read.data == due, OTHER)


def settled(terms: Terms, receipt: Receipt) -> Settled:
    """Returns what the receipt says; its logs must show payment, delivery and the escrow's own word, once each."""
    logs = tuple(_read(log, terms) for log in receipt.logs)
    found = [log.meaning for log in logs if log.meaning]
    wrong = [f"{found.count(due) or 'no'} {due}" for due in DUE if found.count(due) != 1]
    return Settled(
        tx_hash=receipt.tx_hash,
        block=receipt.block,
        block_hash=receipt.block_hash,
        at_ms=receipt.at_ms,
        logs=logs,
        checked=holds(receipt.succeeded and not wrong, f"its logs show {', '.join(wrong) or 'a failure'}"),
    )


def _read(log: ChainLog, terms: Terms) -> EmittedLog:
    contract = {terms.currency: "TestUsdc", terms.collection: "Collection", terms.escrow: "Escrow"}.get(log.address)
    name, values = _decoded(contract, log) if contract is not None else (UNKNOWN, {})
    fields = {field: _text(value) for field, value in values.items()}
    said = (log.address, name, tuple(fields.values()))
    meaning = next((due for due, as_due in zip(DUE, _due(terms), strict=True) if as_due == said), "")
    return EmittedLog(address=log.address, name=name, fields=fields, meaning=meaning)


def _due(terms: Terms) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Returns the logs of payment, delivery and execution as they must be: contract, name and values."""
    buyer, seller, price = terms.buyer_wallet, terms.seller_wallet, str(terms.price_usdc_micros)
    token = str(token_number(terms.item.token_id))
    keys = (_text(deal_key(terms.deal)), "0x" + deal_hash(terms))
    return (
        (terms.currency, "Transfer", (buyer, seller, price)),
        (terms.collection, "Transfer", (seller, buyer, token)),
        (terms.escrow, "Executed", (*keys, seller, buyer, terms.collection, token, terms.currency, price)),
    )


def _decoded(contract: str, log: ChainLog) -> tuple[str, dict[str, Any]]:
    """Returns name and fields of an event of a contract, UNKNOWN for anything else."""
    abi = load(contract).abi
    for entry in abi:
        if entry["type"] != "event":
            continue
        signature = f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"
        if log.topics[:1] == ("0x" + keccak(signature.encode()).hex(),):
            try:
                return str(entry["name"]), event(abi, str(entry["name"]), log.topics, log.data)
            except (DecodingError, ValueError):
                return UNKNOWN, {}
    return UNKNOWN, {}


def _text(value: object) -> str:
    """Returns a decoded value as text: bytes in hex, numbers in decimal, as they may be longer than JSON's."""
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
