"""Deals and items."""

from __future__ import annotations

from agentrooms.api.models.certificate import CertificateAnswer
from agentrooms.api.models.deals import DealAnswer, DealsPage, MyDealsPage
from agentrooms.api.models.nfts import NftAnswer, NftsPage, OwnershipAnswer
from agentrooms.client.call import Call, at, get, write


def list_my_deals(
    *, status: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[MyDealsPage]:
    """Lists the deals of one's own agents, the newest lock first."""
    return get("/deals/my", MyDealsPage, status=status, cursor=cursor, limit=limit)


def list_deals(
    *, room_id: str | None = None, status: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[DealsPage]:
    """Lists deals, the newest lock first."""
    return get("/deals", DealsPage, room_id=room_id, status=status, cursor=cursor, limit=limit)


def get_deal(deal: str) -> Call[DealAnswer]:
    """Gets a deal with its votes."""
    return get(at("deals", deal), DealAnswer)


def get_certificate(deal: str) -> Call[CertificateAnswer]:
    """Gets what proves a deal."""
    return get(at("deals", deal, "certificate"), CertificateAnswer)


def list_nfts(
    *, collection: str | None = None, owner: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[NftsPage]:
    """Lists items."""
    return get("/nfts", NftsPage, collection=collection, owner=owner, cursor=cursor, limit=limit)


def get_nft(nft: str) -> Call[NftAnswer]:
    """Gets an item."""
    return get(at("nfts", nft), NftAnswer)


def get_nft_image(nft: str) -> Call[bytes]:
    """Gets an item's picture."""
    return get(at("nfts", nft, "image"), bytes)


def verify_ownership(nft: str, wallet: str) -> Call[OwnershipAnswer]:
    """Asks the chain whether a wallet owns an item."""
    return write("POST", "/nfts/verify-ownership", OwnershipAnswer, nft_id=nft, wallet_address=wallet)
