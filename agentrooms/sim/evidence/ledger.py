"""Transactions and receipts of the simulation's ledger, which has no accounts that pay, no gas and no logs."""

from __future__ import annotations

import hashlib

import msgspec

from agentrooms.chain.port import Execution
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import EscrowSubmitted, Receipt, Terms
from agentrooms.sim.evidence.records import NOT_KNOWN, OK, OTHER, Checked, Settled, Transaction, bad, holds, unchecked


def transaction(event: EscrowSubmitted, raw: bytes, terms: Terms, execution: Execution | None) -> Transaction:
    """Returns what a stored transaction is; `execution` is what it should be, None where that is not known."""
    return Transaction(
        tx_hash=event.tx_hash,
        round=event.round,
        to=terms.escrow,
        calldata_bytes=len(raw),
        checked=_checked(event.tx_hash, raw, execution),
    )


def _checked(tx_hash: str, raw: bytes, execution: Execution | None) -> Checked:
    if tx_hash != "0x" + hashlib.sha256(raw).hexdigest():
        return bad("its bytes have another hash")
    if execution is None:
        return unchecked(NOT_KNOWN)
    return holds(canonical(execution) == raw, OTHER)


def settled(_terms: Terms, receipt: Receipt) -> Settled:
    """Returns what the receipt says."""
    known = msgspec.structs.asdict(receipt)
    return Settled(
        **{name: known[name] for name in ("tx_hash", "block", "block_hash", "at_ms")},
        logs=(),
        checked=OK if receipt.succeeded else bad("it says that the transaction failed"),
    )
