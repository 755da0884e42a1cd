"""A user is a wallet that has signed in once, with the budget it lets the escrow spend."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agentrooms.domain.event import Event
from agentrooms.domain.ids import derive_id
from agentrooms.errors import Rejection

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


class UserRegistered(Event, frozen=True):
    """A wallet became a user."""

    user: str
    wallet: str


class WalletBudgeted(Event, frozen=True):
    """A wallet declared how much the platform may lock for it, in all its deals together."""

    wallet: str
    budget_usdc_micros: int


UserEvent = UserRegistered | WalletBudgeted


@dataclass(frozen=True, slots=True)
class User:
    """One wallet's standing; `id` is empty before it registers. Money in micro-USDC."""

    id: str = ""
    wallet: str = ""
    budget_usdc_micros: int = 0


def evolve(user: User, event: UserEvent) -> User:
    """Returns the user after the event."""
    match event:
        case UserRegistered():
            return replace(user, id=event.user, wallet=event.wallet)
        case WalletBudgeted():
            return replace(user, budget_usdc_micros=event.budget_usdc_micros)


def user_id(wallet: str) -> str:
    """Returns the one id a wallet's user has."""
    return derive_id("user", wallet)


def register(user: User, wallet: str) -> list[UserEvent]:
    """Registers a wallet, once. Raises Rejection for what is not a lower-case address."""
    if _ADDRESS.fullmatch(wallet) is None:
        raise Rejection(f"{wallet!r} is not a wallet address", hint="0x and 40 lower-case hex digits")
    if user.wallet == wallet:
        return []
    if user.id:
        raise Rejection(f"user {user.id} is wallet {user.wallet}, not {wallet}")
    return [UserRegistered(user_id(wallet), wallet)]


def set_budget(user: User, budget_usdc_micros: int) -> list[UserEvent]:
    """Sets how much may be locked. Raises Rejection for a negative amount or an unknown user."""
    if not user.id:
        raise Rejection("only a registered user has a budget", hint="register the wallet first")
    if budget_usdc_micros < 0:
        raise Rejection(f"a budget is not negative, was {budget_usdc_micros}")
    if budget_usdc_micros == user.budget_usdc_micros:
        return []
    return [WalletBudgeted(user.wallet, budget_usdc_micros)]
