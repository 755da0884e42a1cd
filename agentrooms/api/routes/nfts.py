"""Items: lists from the read models, owners from the chain, names and pictures from where their contracts say."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from agentrooms.api.collections import address_of
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.items import NftId, find_item
from agentrooms.api.metadata import Metadata
from agentrooms.api.models.auth import WalletAddress
from agentrooms.api.models.base import PAGE, problems
from agentrooms.api.models.nfts import NftAnswer, NftBody, NftsPage, OwnershipAnswer, OwnershipAsked, nft_body
from agentrooms.api.problems import Problem
from agentrooms.api.reading import Cursor, Limit, cursor_of, etagged, text_key
from agentrooms.api.strict import StrictRoute
from agentrooms.projections import queries
from agentrooms.projections.read_rows import NftRow

OFFSET_MAX = 100_000
IMAGE_AGE_S = 3_600  # how long browsers keep a picture
IMAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",  # an SVG may hold scripts
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": f"public, max-age={IMAGE_AGE_S}",
}
UNCHANGED: dict[int | str, Any] = {304: {"description": "It is as the ETag says"}}
_PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

router = APIRouter(prefix="/nfts", tags=["nfts"], route_class=StrictRoute)


@router.get("", operation_id="listNfts", summary="Items")
def list_nfts(
    home: HomeDep,
    collection: Annotated[str | None, Query(min_length=1, max_length=100, description="Address or name")] = None,
    owner: Annotated[WalletAddress | None, Query(description="Wallet that holds them")] = None,
    limit: Limit = PAGE,
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX, description="Items to leave out; a cursor is quicker")] = 0,
    cursor: Cursor = None,
) -> NftsPage:
    """Items that were minted here, listed or sold, with the owners that the log knows."""
    of = {"collection": address_of(home, collection) if collection is not None else None, "owner": owner}
    after = text_key(cursor)

    def read(connection: queries.Connection) -> tuple[list[NftRow], int]:
        rows = queries.nfts(connection, **of, after=after, offset=offset, limit=limit + 1)
        return rows, queries.count_nfts(connection, **of)

    rows, total = home.reads.run(read)
    shown = rows[:limit]
    known = home.items.known((row.collection, row.token_id) for row in shown)
    bodies = (nft_body(row, known.get((row.collection, row.token_id), Metadata()), row.owner) for row in shown)
    more = cursor_of(shown[-1].nft_id) if len(rows) > limit else None
    return NftsPage(nfts=tuple(bodies), total=total, next_cursor=more)


@router.get(
    "/{id}",
    operation_id="getNft",
    summary="One item",
    response_model=NftAnswer,
    responses=problems(404) | UNCHANGED,
)
def get_nft(home: HomeDep, request: Request, response: Response, id: NftId) -> NftAnswer | Response:
    """An item with its owner on the chain now, and what its contract says of it."""
    row = find_item(home, id)
    owner = home.holdings.owner_of(row.collection, row.token_id)
    if owner is None and row.owner is None and ":" in id:
        raise Problem(404, "the chain knows no such item", hint="is it minted, and the collection on this chain?")
    nft = _whole(home, row, owner)
    if etagged(request, response, nft):
        return Response(status_code=304, headers=dict(response.headers))
    return NftAnswer(nft=nft)


@router.get(
    "/{id}/image",
    operation_id="getNftImage",
    summary="An item's picture",
    response_class=Response,
    responses={
        200: {"description": "PNG, JPEG, GIF, WebP, AVIF or SVG", "content": {"image/*": _PICTURE}},
        **UNCHANGED,
        **problems(404),
    },
)
def get_nft_image(home: HomeDep, request: Request, id: NftId) -> Response:
    """The picture that the item's metadata name, fetched here and kept for an hour."""
    row = find_item(home, id)
    image = home.items.image(row.collection, row.token_id)
    if not image.body:
        raise Problem(404, f"there is no picture: {image.note}", hint="draw one from its name and traits")
    response = Response(image.body, media_type=image.media_type)
    known = etagged(request, response, hashlib.sha256(image.body).hexdigest())
    response.headers.update(IMAGE_HEADERS)
    return Response(status_code=304, headers={**IMAGE_HEADERS, "ETag": response.headers["etag"]}) if known else response


@router.post(
    "/verify-ownership",
    operation_id="verifyOwnership",
    summary="Ask the chain whether a wallet owns an item",
    responses=problems(404),
)
def verify_ownership(home: HomeDep, body: OwnershipAsked) -> OwnershipAnswer:
    """The chain is asked each time: what it said a moment ago may be over."""
    row = find_item(home, body.nft_id)
    owner = home.holdings.owner_of(row.collection, row.token_id)
    if owner is None:
        return OwnershipAnswer(owns=False, nft=None)
    return OwnershipAnswer(owns=owner == body.wallet_address, nft=_whole(home, row, owner))


def _whole(home: Home, row: NftRow, owner: str | None) -> NftBody:
    return nft_body(row, home.items.metadata(row.collection, row.token_id), owner)
