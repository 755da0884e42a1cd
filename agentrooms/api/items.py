"""Items by what people call them: our id, or `collection:tokenId` for any item of the chain."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from agentrooms.api.home import Home
from agentrooms.api.problems import Problem
from agentrooms.domain.assets import Item, is_token_id
from agentrooms.projections import queries
from agentrooms.projections.platform_model import nft_id
from agentrooms.projections.queries import NotFound
from agentrooms.projections.read_rows import NftRow

NFT = "nft_tlglq2lb6vhzu"  # in examples
NFT_ID_CHARACTERS_MAX = 121  # an address, a colon and 78 digits
_PATTERN = r"^([A-Za-z0-9._-]{1,100}|0x[0-9a-fA-F]{40}:(0|[1-9][0-9]{0,76}|1[01][0-9]{76}))$"


def _id(text: str) -> str:
    collection, colon, token = text.partition(":")
    if colon and not is_token_id(token):
        raise ValueError("a token id is a decimal number below 2**256 without leading zeros")
    return f"{collection.lower()}:{token}" if colon else text


NftId = Annotated[
    str,
    Field(
        pattern=_PATTERN,
        max_length=NFT_ID_CHARACTERS_MAX,
        description="An item's id, or its collection's address and its token id as `0x…:123`",
        examples=[NFT],
    ),
    AfterValidator(_id),
]
"""An item that is asked about."""


def find_item(home: Home, id_: str) -> NftRow:
    """Returns what the tables know of an item. Of one that they do not know, `0x…:123` says enough.

    Raises Problem 404 for another id that they do not know.
    """
    collection, colon, token = id_.partition(":")
    key = nft_id(collection, token) if colon else id_

    def read(connection: queries.Connection) -> NftRow:
        try:
            return queries.nft(connection, key)
        except NotFound as error:
            if colon:
                return NftRow(id_, collection, token)
            hint = "GET /nfts lists those there are; any other is named 0x…:123"
            raise Problem(404, str(error), hint=hint) from error

    return home.reads.run(read)


def item_of(home: Home, row: NftRow) -> Item:
    """Returns an item as an agent trades it: with the traits that the chain confirms, whoever named them.

    Raises ChainUnreachable, and Problem when too much is being fetched.
    """
    said = home.items.metadata(row.collection, row.token_id)
    traits = home.holdings.held_traits(row.collection, row.token_id, row.traits or said.traits)
    return Item(row.token_id, row.name or said.name or f"#{row.token_id}", traits)
