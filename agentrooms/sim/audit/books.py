"""Who has what by the log's own words: what wallets were given, then what deals moved."""

from __future__ import annotations

from agentrooms.domain.deal import Terms
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted


class Books:
    """Money and items of a run, from nothing."""

    def __init__(self) -> None:
        self.money: dict[str, int] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.minted_usdc_micros = 0

    def fund(self, event: LedgerFunded) -> None:
        """Books money that comes into being."""
        self.money[event.wallet] = self.money.get(event.wallet, 0) + event.balance_usdc_micros
        self.minted_usdc_micros += event.balance_usdc_micros

    def mint(self, event: LedgerMinted) -> str:
        """Books an item that comes into being; returns what is impossible about it."""
        key = (event.collection, event.token_id)
        if key in self.owners:
            return f"item {event.token_id} is minted a second time"
        self.owners[key] = event.owner
        return ""

    def move(self, terms: Terms) -> str:
        """Books a completed deal; returns what is impossible about it."""
        key, price = (terms.collection, terms.item.token_id), terms.price_usdc_micros
        owner, balance = self.owners.get(key), self.money.get(terms.buyer_wallet, 0)
        self.money[terms.buyer_wallet] = balance - price
        self.money[terms.seller_wallet] = self.money.get(terms.seller_wallet, 0) + price
        self.owners[key] = terms.buyer_wallet
        if owner != terms.seller_wallet:
            return f"item {terms.item.token_id} is sold by {terms.seller_wallet} but belongs to {owner or 'nobody'}"
        return f"wallet {terms.buyer_wallet} pays {price} micro-USDC of {balance}" if price > balance else ""

    def imbalance(self) -> str:
        """Returns what does not add up at the end."""
        if any(money < 0 for money in self.money.values()):
            return "a wallet ends below zero"
        return "" if sum(self.money.values()) == self.minted_usdc_micros else "USDC is not conserved"
