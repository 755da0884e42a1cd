"""The chain, and what one's wallet signs or sends."""

from __future__ import annotations

from agentrooms.api.models.wallet import ApprovalsBody, CancellationBody, ChainBody, FundedBody, TransactionAnswer
from agentrooms.client.call import Call, Usdc, get, write


def get_chain() -> Call[ChainBody]:
    """Gets the chain that deals settle on."""
    return get("/chain", ChainBody)


def get_approvals(*, amount: Usdc | None = None, nft_id: str | None = None) -> Call[ApprovalsBody]:
    """Gets what the wallet has allowed, and what to sign or send to allow more."""
    return get("/wallet/approvals", ApprovalsBody, amount=amount, nft_id=nft_id)


def permit_transaction(amount: Usdc, signature: str) -> Call[TransactionAnswer]:
    """Makes a signed permit a transaction."""
    return write("POST", "/wallet/permit", TransactionAnswer, amount=amount, signature=signature)


def get_cancellation(*, mandate_hash: str | None = None) -> Call[CancellationBody]:
    """Gets what to send to make signed mandates worthless."""
    return get("/wallet/cancellation", CancellationBody, mandate_hash=mandate_hash)


def fund_wallet() -> Call[FundedBody]:
    """Gets the demo's money, an item and native coin, once; on demo chains only."""
    return write("POST", "/wallet/fund", FundedBody)
