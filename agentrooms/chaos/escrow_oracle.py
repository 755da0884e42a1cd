"""What a devnet's escrow has executed, held against what the log says of each deal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from agentrooms.chain.evm import calls
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.receipts import read_receipt
from agentrooms.chain.evm.view import read_block
from agentrooms.domain.assets import token_number
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, FailReason, Receipt, Terms, deal_hash
from agentrooms.events.record import Recorded
from agentrooms.live.recruiting import BUDGET_USDC_MICROS


class Executed(NamedTuple):
    """One successful execution: the receipt of its transaction and the fields of its event."""

    receipt: Receipt
    event: dict[str, Any]


class EscrowOracle:
    """Reads the chain block by block, each once. Wallets must be new for each deal, as those of single agents are."""

    def __init__(self, chain: DevnetChain) -> None:
        self.executed: dict[bytes, list[Executed]] = defaultdict(list)
        self._chain = chain
        self._read = 0  # blocks

    def look(self) -> int:
        """Reads the blocks that are new; returns the time of the last. Raises ChainUnreachable."""
        rpc = self._chain.rpc
        head = read_block(rpc.call("eth_getBlockByNumber", "latest", False), "latest")
        while self._read <= head.number:
            block = read_block(rpc.call("eth_getBlockByNumber", hex(self._read), False), self._read)
            found = [read_receipt(rpc.call("eth_getTransactionReceipt", tx), tx) for tx in block.transactions]
            for raw in found:
                assert raw is not None, "a transaction in a block has a receipt"
                receipt = raw.receipt(block.at_ms, "")
                for log in receipt.logs:
                    event = calls.executed(log, self._chain.site.escrow)
                    if event is not None:
                        self.executed[event["dealId"]].append(Executed(receipt, event))
            self._read += 1
        return head.at_ms

    def check(self, events: Sequence[Recorded]) -> list[str]:
        """Checks all deals of a room's events. Raises ChainUnreachable."""
        now_ms = self.look()
        terms = {e.event.terms.deal: e.event.terms for e in events if isinstance(e.event, DealLocked)}
        ends = {e.event.deal: e.event for e in events if isinstance(e.event, DealCompleted | DealFailed)}
        wrong = [f"deal {deal} has not ended" for deal in terms.keys() - ends.keys()]
        for deal, end in ends.items():
            executed = self.executed.get(calls.deal_key(deal), [])
            if len(executed) != isinstance(end, DealCompleted):
                wrong.append(f"deal {deal} ended as {type(end).__name__}, executed {len(executed)} times")
            elif isinstance(end, DealCompleted):
                wrong += self._completed(terms[deal], end, executed[0])
            elif end.reason is FailReason.EXPIRED and now_ms <= terms[deal].deadline_ms:
                wrong.append(f"deal {deal} expired before the chain's time was past its deadline")
        return wrong + [line for deal in terms for line in self._holdings(terms[deal], ends.get(deal))]

    def _completed(self, terms: Terms, end: DealCompleted, executed: Executed) -> list[str]:
        wrong = []
        if end.receipt != executed.receipt:
            wrong.append(f"deal {terms.deal}: in the log {end.receipt}, on the chain {executed.receipt}")
        wanted = {
            "dealId": calls.deal_key(terms.deal),
            "dealHash": bytes.fromhex(deal_hash(terms)),
            "seller": terms.seller_wallet,
            "buyer": terms.buyer_wallet,
            "collection": terms.collection,
            "tokenId": token_number(terms.item.token_id),
            "currency": terms.currency,
            "price": terms.price_usdc_micros,
        }
        said = {name: value.lower() if isinstance(value, str) else value for name, value in executed.event.items()}
        return wrong + ([f"deal {terms.deal}: the chain says {said}, agreed was {wanted}"] if said != wanted else [])

    def _holdings(self, terms: Terms, end: object) -> list[str]:
        """Checks who holds money and item: wallets of single agents begin with the budget, and with nothing."""
        paid = terms.price_usdc_micros if isinstance(end, DealCompleted) else 0
        chain = self._chain
        wanted = (terms.buyer_wallet if paid else terms.seller_wallet, BUDGET_USDC_MICROS - paid, paid)
        found = (
            chain.owner(terms.item.token_id),
            chain.balance_usdc_micros(terms.buyer_wallet),
            chain.balance_usdc_micros(terms.seller_wallet),
        )
        what = "item's owner, buyer's and seller's balance"
        return [f"deal {terms.deal}: {what} are {found} instead of {wanted}"] if found != wanted else []
