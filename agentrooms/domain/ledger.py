"""Genesis of the simulation's chain: what its wallets hold before the first deal."""

from __future__ import annotations

from agentrooms.domain.event import Event


class LedgerFunded(Event, frozen=True):
    """A mock wallet holds USDC and lets the escrow take up to the allowance. Micro-USDC."""

    allowance_usdc_micros: int
    balance_usdc_micros: int
    wallet: str


class LedgerMinted(Event, frozen=True):
    """A mock wallet owns an item; `approved` lets the escrow move it."""

    approved: bool
    collection: str
    owner: str
    token_id: str
    traits: dict[str, str]
