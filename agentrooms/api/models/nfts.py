"""Items as they go out, and what is asked about them."""

from __future__ import annotations

from pydantic import Field

from agentrooms.api.items import NFT, NftId
from agentrooms.api.metadata import Metadata
from agentrooms.api.models.auth import WALLET, WalletAddress
from agentrooms.api.models.base import Asked, Time, Wire, iso
from agentrooms.projections.read_rows import NftRow

COLLECTION = "0x5fbdb2315678afecb367f032d93f642f64180aa3"  # in examples


class NftMetadata(Wire):
    """What is said of an item where its contract says."""

    description: str = Field(examples=["A punk with a beanie"])
    traits: dict[str, str] = Field(examples=[{"Type": "Zombie", "Hat": "Beanie"}])
    note: str = Field(description="Why there is no more; empty when there is", examples=[""])


class NftBody(Wire):
    """One item."""

    id: str = Field(examples=[NFT])
    collection: str = Field(description="Address of its collection", examples=[COLLECTION])
    token_id: str = Field(description="Its number there", examples=["1234"])
    name: str = Field(examples=["Punk #1234"])
    image_url: str = Field(description="Where its picture is, below this API", examples=[f"/nfts/{NFT}/image"])
    owner: str | None = Field(description="Wallet that holds it, as far as known", examples=[WALLET.lower()])
    minted_at: Time | None = Field(description="When it was minted here; null where it was not")
    metadata: NftMetadata


class NftAnswer(Wire):
    """One item."""

    nft: NftBody


class NftsPage(Wire):
    """Items by id. Names and traits are those at hand; one item by itself has all of them."""

    nfts: tuple[NftBody, ...]
    total: int = Field(description="Items in all pages", examples=[120])
    next_cursor: str | None = Field(examples=[None])


class OwnershipAsked(Asked):
    """Which item, and whose it may be."""

    nft_id: NftId
    wallet_address: WalletAddress


class OwnershipAnswer(Wire):
    """Whether the wallet owns it on the chain now."""

    owns: bool = Field(examples=[True])
    nft: NftBody | None = Field(description="The item; null when there is none of this name")


def nft_body(row: NftRow, said: Metadata, owner: str | None) -> NftBody:
    """Returns an item as it goes out: what the log knows of it wins over what its contract says."""
    return NftBody(
        id=row.nft_id,
        collection=row.collection,
        token_id=row.token_id,
        name=row.name or said.name or f"#{row.token_id}",
        image_url=f"/nfts/{row.nft_id}/image",
        owner=owner,
        minted_at=iso(row.minted_at_ms),
        metadata=NftMetadata(description=said.description, traits=row.traits or said.traits, note=said.note),
    )
