"""What wallets of simulations and demos are given before they trade, and what they sign for the escrow to take it."""

from __future__ import annotations

from agentrooms.domain.event import Event


class LedgerFunded(Event, frozen=True):
    """A mock wallet holds USDC and lets the escrow take up to the allowance. Micro-USDC.

    `permit` is its signature (EIP-2612, hex) on a chain that asks for one, else "".
    """

    allowance_usdc_micros: int
    balance_usdc_micros: int
    wallet: str
    permit: str = ""


class LedgerMinted(Event, frozen=True):
    """A mock wallet owns an item; `approved` lets the escrow move it.

    `approval` is the wallet's raw transaction (hex) on a chain that asks for one, else "".
    """

    approved: bool
    collection: str
    owner: str
    token_id: str
    traits: dict[str, str]
    approval: str = ""
