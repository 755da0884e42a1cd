"""What a mock wallet signs for the chain it trades on: nothing on the ledger, which takes allowances as they are said."""

from __future__ import annotations

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.site import Site


def approve_item(key: bytes, site: Site, token_id: str) -> str:
    """Returns a seller's first transaction (hex), which lets the escrow move its item; "" on the ledger."""
    if site == LEDGER:
        return ""
    from agentrooms.chain.evm.outbox import PRICE_MIN_WEI  # noqa: PLC0415 - half a second, and only some need it
    from agentrooms.chain.evm.wallet import approval  # noqa: PLC0415 - see above

    return approval(key, site, token_id, nonce=0, gas_price_wei=PRICE_MIN_WEI).raw.hex()


def permit_usdc(key: bytes, site: Site, amount_usdc_micros: int) -> str:
    """Returns a buyer's signature (hex), which lets the escrow take up to an amount; "" on the ledger."""
    if site == LEDGER:
        return ""
    from agentrooms.chain.evm.wallet import permit  # noqa: PLC0415 - see approve_item

    return permit(key, site, amount_usdc_micros)
