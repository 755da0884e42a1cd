"""The pool: valid transactions that wait for a block, without gaps in a sender's nonces."""

from __future__ import annotations

from agentrooms.chain.devnet.engine import BLOCK_GAS_LIMIT, Transaction, TransactionRefused
from agentrooms.chain.devnet.transactions import check_gas

SENDER_MAX = 150  # transactions that wait, a sender
POOL_MAX = 15_000  # in all
REPLACE_PERCENT = 110  # of the gas price that is replaced


class Pool:
    """Transactions in the order of their arrival; one that replaces another takes its place."""

    def __init__(self, *, sender_max: int = SENDER_MAX, pool_max: int = POOL_MAX) -> None:
        self.sender_max = sender_max
        self.pool_max = pool_max
        self._waiting: dict[tuple[str, int], Transaction] = {}

    def all(self) -> tuple[Transaction, ...]:
        return tuple(self._waiting.values())

    def hashes(self) -> tuple[str, ...]:
        return tuple(transaction.hash for transaction in self._waiting.values())

    def add(self, transaction: Transaction, *, nonce: int, balance_wei: int) -> Transaction | None:
        """Takes a transaction of a sender with this mined nonce and balance; returns the one it replaces.

        Raises:
            TransactionRefused: it cannot be mined, or not after those that wait.
        """
        check_gas(transaction)
        waiting = self.of(transaction.sender)
        old = self._waiting.get((transaction.sender, transaction.nonce))
        if old is not None and old.hash == transaction.hash:
            raise TransactionRefused("known", f"transaction {transaction.hash} is already in the pool")
        if transaction.nonce < nonce:
            raise TransactionRefused("nonce_low", f"nonce {transaction.nonce} is used; the next one is {nonce}")
        if transaction.nonce > nonce + len(waiting):
            raise TransactionRefused(
                "nonce_gap", f"nonce {transaction.nonce} leaves a gap; the next one is {nonce + len(waiting)}"
            )
        if old is not None and transaction.gas_price_wei * 100 < old.gas_price_wei * REPLACE_PERCENT:
            raise TransactionRefused(
                "underpriced",
                f"gas price {transaction.gas_price_wei} does not replace {old.gas_price_wei}",
                hint="a replacement pays a tenth more",
            )
        self._check_room(transaction, waiting, old)
        rest = sum(_cost_wei(other) for other in waiting if other is not old)
        if rest + _cost_wei(transaction) > balance_wei:
            raise TransactionRefused(
                "balance", f"{transaction.sender} has {balance_wei} wei of {rest + _cost_wei(transaction)} needed"
            )
        self._waiting[transaction.sender, transaction.nonce] = transaction  # a replacement keeps the place
        return old

    def of(self, sender: str) -> list[Transaction]:
        """Returns what waits of one sender, by nonce."""
        return sorted(
            (transaction for (who, _), transaction in self._waiting.items() if who == sender),
            key=lambda transaction: transaction.nonce,
        )

    def next_block(self) -> list[Transaction]:
        """Returns what the next block holds: the longest beginning that fits by gas limits."""
        gas, chosen = 0, []
        for transaction in self._waiting.values():
            gas += transaction.gas
            if gas > BLOCK_GAS_LIMIT:
                break
            chosen.append(transaction)
        return chosen

    def remove(self, transaction: Transaction) -> None:
        del self._waiting[transaction.sender, transaction.nonce]

    def drop(self, transaction: Transaction) -> list[Transaction]:
        """Removes a transaction and what the sender has after it, which nothing could mine now; returns them."""
        lost = [other for other in self.of(transaction.sender) if other.nonce >= transaction.nonce]
        for other in lost:
            self.remove(other)
        return lost

    def _check_room(self, transaction: Transaction, waiting: list[Transaction], old: Transaction | None) -> None:
        if old is None and len(waiting) >= self.sender_max:
            raise TransactionRefused("pool_full", f"{len(waiting)} transactions of {transaction.sender} wait")
        if old is None and len(self._waiting) >= self.pool_max:
            raise TransactionRefused("pool_full", f"{len(self._waiting)} transactions wait", hint="send it later")


def _cost_wei(transaction: Transaction) -> int:
    return transaction.gas * transaction.gas_price_wei + transaction.value_wei
