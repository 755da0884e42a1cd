"""Deals: public records of what was agreed, verified and settled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from agentrooms.api.auth.principal import SignedIn
from agentrooms.api.home import HomeDep
from agentrooms.api.models.base import PAGE, problems
from agentrooms.api.models.certificate import CertificateAnswer, certificate_of
from agentrooms.api.models.deals import DealAnswer, DealsPage, DealStatus, MyDealsPage, deal_body, deal_detail
from agentrooms.api.problems import Problem
from agentrooms.api.reading import Cursor, Limit, etagged, number_key
from agentrooms.api.routes.common import ID_CHARACTERS_MAX, ID_PATTERN, PathId, page_of
from agentrooms.api.strict import StrictRoute
from agentrooms.projections import queries
from agentrooms.sim.evidence import NoSuchDeal, events_of, gather

router = APIRouter(route_class=StrictRoute, tags=["deals"])

OFFSET_MAX = 100_000


@router.get("/deals/my", operation_id="listMyDeals", summary="List one's deals")
def list_my_deals(
    home: HomeDep,
    principal: SignedIn,
    status: DealStatus | None = None,
    limit: Limit = PAGE,
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX)] = 0,
    cursor: Cursor = None,
) -> MyDealsPage:
    """Deals of one's own agents, the newest lock first, from a cursor or an offset."""
    after = number_key(cursor)

    def read(connection: queries.Connection) -> MyDealsPage:
        rows = queries.deals(
            connection, user=principal.user, status=status, after=after, offset=offset, limit=limit + 1
        )
        shown, following = page_of(rows, limit, lambda row: row.locked_event)
        agents = queries.parties(connection, shown)
        total = queries.count_deals(connection, principal.user, status)
        return MyDealsPage(deals=tuple(deal_body(row, agents) for row in shown), next_cursor=following, total=total)

    return home.reads.run(read)


@router.get("/deals", operation_id="listDeals", summary="List deals")
def list_deals(
    home: HomeDep,
    room_id: Annotated[str | None, Query(alias="roomId", pattern=ID_PATTERN, max_length=ID_CHARACTERS_MAX)] = None,
    status: DealStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> DealsPage:
    """Deals, the newest lock first, all or those of a room or a status."""
    after = number_key(cursor)

    def read(connection: queries.Connection) -> DealsPage:
        rows = queries.deals(connection, room=room_id, status=status, after=after, limit=limit + 1)
        shown, following = page_of(rows, limit, lambda row: row.locked_event)
        agents = queries.parties(connection, shown)
        return DealsPage(deals=tuple(deal_body(row, agents) for row in shown), next_cursor=following)

    return home.reads.run(read)


@router.get(
    "/deals/{id}",
    operation_id="getDeal",
    summary="Get a deal",
    response_model=DealAnswer,
    responses=problems(404) | {304: {"description": "It is as the ETag says"}},
)
def get_deal(home: HomeDep, id: PathId, request: Request, response: Response) -> DealAnswer | Response:
    """One deal with its votes. One that has ended has an ETag, and with `If-None-Match` a 304."""

    def read(connection: queries.Connection) -> DealAnswer:
        found = queries.deal(connection, id)
        return DealAnswer(deal=deal_detail(found, queries.parties(connection, [found.deal])))

    found = home.reads.run(read)
    ended = found.deal.completed_at is not None or found.deal.failed_at is not None
    if ended and etagged(request, response, found.model_dump_json()):
        return Response(status_code=304, headers=dict(response.headers))
    return found


@router.get(
    "/deals/{id}/certificate",
    operation_id="getCertificate",
    summary="Get what proves a deal",
    responses=problems(404),
)
def get_certificate(home: HomeDep, id: PathId) -> CertificateAnswer:
    """All that proves a deal: terms, signatures, votes, transactions, receipt, each with whether it holds.

    It has the hashes of both mandates and nothing of what they say: whether the deal lies within them, yes or no.
    """
    try:
        evidence = gather(events_of(home.store, id), id, home.vault)
    except NoSuchDeal as error:
        raise Problem(404, f"there is no deal {id}", hint="GET /deals lists those there are") from error
    return certificate_of(evidence)
