"""Receipts as nodes give them, and as our records have them."""

from __future__ import annotations

import msgspec

from agentrooms.chain.port import ChainUnreachable
from agentrooms.domain.deal import ChainLog, Receipt


class RawLog(msgspec.Struct, frozen=True):
    """A log as the EVM gives it; Mainsail adds neither index nor block."""

    address: str
    topics: tuple[str, ...]
    data: str


class RawReceipt(msgspec.Struct, frozen=True, rename="camel"):
    """What we need of a receipt; numbers in hex."""

    transaction_hash: str
    block_hash: str
    block_number: str
    status: str
    logs: tuple[RawLog, ...]

    @property
    def number(self) -> int:
        """The block's."""
        return int(self.block_number, 16)

    @property
    def succeeded(self) -> bool:
        """Whether the transaction did anything."""
        return int(self.status, 16) == 1

    def receipt(self, at_ms: int, reason: str) -> Receipt:
        """Returns our record of it; `at_ms` is the block's time."""
        logs = (ChainLog(log.address.lower(), tuple(map(str.lower, log.topics)), log.data.lower()) for log in self.logs)
        return Receipt(
            block=self.number,
            block_hash=self.block_hash.lower(),
            at_ms=at_ms,
            reason=reason,
            succeeded=self.succeeded,
            tx_hash=self.transaction_hash.lower(),
            logs=tuple(logs),
        )


def read_receipt(found: object, tx_hash: str) -> RawReceipt | None:
    """Returns a receipt, None while there is none. Raises ChainUnreachable for what is no receipt of this transaction."""
    if not isinstance(found, dict) or not found.get("blockNumber"):
        return None
    try:
        receipt = msgspec.convert(found, RawReceipt)
        assert receipt.number >= 0
        assert isinstance(receipt.succeeded, bool)
    except (msgspec.ValidationError, ValueError) as error:
        raise ChainUnreachable(f"the node's receipt of {tx_hash} is none: {error}") from error
    if receipt.transaction_hash.lower() != tx_hash:
        raise ChainUnreachable(f"the node's receipt of {tx_hash} is that of {receipt.transaction_hash[:80]!a}")
    return receipt
