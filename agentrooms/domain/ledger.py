"""What wallets of simulations and demos are given before they trade, and what mock ones sign for the escrow to take it."""

from __future__ import annotations

from agentrooms.domain.event import Event


class LedgerFunded(Event, frozen=True):
    """A wallet was given USDC and lets the escrow take up to the allowance. Micro-USDC.

    `permit` is a mock wallet's signature (EIP-2612, hex) on a chain that asks for one, else "". A person's wallet
    on such a chain allows nothing yet: it does so itself.
    """

    allowance_usdc_micros: int
    balance_usdc_micros: int
    wallet: str
    permit: str = ""


class WalletFueled(Event, frozen=True):
    """A person's wallet on a devnet was given native coin, in gwei, for the fees of its own transactions."""

    amount_gwei: int
    wallet: str


class LedgerMinted(Event, frozen=True):
    """A wallet was given a new item; `approved` lets the escrow move it.

    `approval` is a mock wallet's raw transaction (hex) on a chain that asks for one, else "".
    """

    approved: bool
    collection: str
    owner: str
    token_id: str
    traits: dict[str, str]
    approval: str = ""
