"""Who holds what across rooms: live locks by item and wallet, and what a wallet may still lock.

A lock is the one decision that crosses rooms. Its state is folded from the events tagged with the
item or the buyer's wallet, and its append is conditional on those tags: the first lock wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, Terms
from agentrooms.domain.event import Event
from agentrooms.domain.user import WalletBudgeted
from agentrooms.errors import Rejection


@dataclass(frozen=True, slots=True)
class Locks:
    """The live locks, spent mandates and budgets among the events read. Money in micro-USDC."""

    live: dict[str, Terms] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    spent_mandates: frozenset[str] = frozenset()

    def free_usdc_micros(self, wallet: str) -> int:
        """Returns what the wallet may still lock: its budget less what it spent and what is reserved."""
        reserved = sum(t.price_usdc_micros for t in self.live.values() if t.buyer_wallet == wallet)
        return self.budgets.get(wallet, 0) - self.spent.get(wallet, 0) - reserved


def evolve(locks: Locks, event: Event) -> Locks:
    """Returns the locks after the event; other events than locks, ends and budgets change nothing."""
    match event:
        case WalletBudgeted():
            return replace(locks, budgets={**locks.budgets, event.wallet: event.budget_usdc_micros})
        case DealLocked():
            return replace(locks, live={**locks.live, event.terms.deal: event.terms})
        case DealCompleted() if event.deal in locks.live:
            terms = locks.live[event.deal]
            paid = locks.spent.get(terms.buyer_wallet, 0) + terms.price_usdc_micros
            spent = {**locks.spent, terms.buyer_wallet: paid}
            mandates = locks.spent_mandates | {terms.buyer_mandate, terms.seller_mandate}
            return replace(locks, live=_without(locks.live, event.deal), spent=spent, spent_mandates=mandates)
        case DealFailed() if event.deal in locks.live:
            return replace(locks, live=_without(locks.live, event.deal))
    return locks


def fold(events: Iterable[Event]) -> Locks:
    """Returns the locks after all the events."""
    locks = Locks()
    for event in events:
        locks = evolve(locks, event)
    return locks


class LockRefused(Rejection):
    """Another live lock, or the wallet's budget, stands against this one."""


def check_lock(locks: Locks, terms: Terms) -> None:
    """Raises LockRefused when item, agent or mandate is locked or spent, or the buyer's wallet cannot cover it."""
    mandates = {terms.buyer_mandate, terms.seller_mandate}
    if mandates & locks.spent_mandates:
        raise LockRefused(f"mandate {min(mandates & locks.spent_mandates)} has had its one fill")
    for other in locks.live.values():
        if other.collection == terms.collection and other.item.token_id == terms.item.token_id:
            raise LockRefused(f"item {terms.item.token_id} is locked by deal {other.deal}")
        shared = {other.buyer, other.seller} & {terms.buyer, terms.seller}
        if shared:
            raise LockRefused(f"agent {min(shared)} is locked by deal {other.deal}")
        held = {other.buyer_mandate, other.seller_mandate} & mandates
        if held:
            raise LockRefused(f"mandate {min(held)} is locked by deal {other.deal}")
    free = locks.free_usdc_micros(terms.buyer_wallet)
    if terms.price_usdc_micros > free:
        raise LockRefused(f"wallet {terms.buyer_wallet} may lock {free} more micro-USDC, not {terms.price_usdc_micros}")


def _without(live: dict[str, Terms], deal: str) -> dict[str, Terms]:
    return {name: terms for name, terms in live.items() if name != deal}
