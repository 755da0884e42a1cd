"""Agents: drafted, signed, spawned, steered and removed by their owners; watched by anybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from agentrooms.api.auth.principal import NOBODY_TOO, MaybeSignedIn, Principal, SignedIn
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.limits import HOUR_S
from agentrooms.api.mandates import (
    approvals_of,
    draft_of,
    item_for,
    mandate_for,
    require_as_drafted,
    require_ready,
    room_of,
    rounds_for,
)
from agentrooms.api.models.agents import (
    AgentAnswer,
    AgentDetail,
    AgentsPage,
    DraftAnswer,
    DraftAsked,
    Reason,
    ReasonsPage,
    Removed,
    SpawnAsked,
    SteerAsked,
    agent_body,
    agent_fields,
    performance_of,
)
from agentrooms.api.models.base import PAGE, iso, problems
from agentrooms.api.models.deals import deal_body
from agentrooms.api.reading import Cursor, Limit, cursor_of, number_key, text_key
from agentrooms.api.routes.common import (
    ID_CHARACTERS_MAX,
    ID_PATTERN,
    UNCACHED,
    CommandId,
    PathId,
    page_of,
    require_own,
)
from agentrooms.api.strict import StrictRoute
from agentrooms.domain.mandate import typed_data
from agentrooms.domain.room import ActsExplained
from agentrooms.domain.terms import AgentStatus
from agentrooms.events.record import decode_line
from agentrooms.events.store import QueryItem
from agentrooms.events.tags import chain_tag
from agentrooms.live.commands import DraftAgent, EnlistAgent, PauseAgent, RemoveAgent, ResumeAgent
from agentrooms.projections import queries
from agentrooms.projections.read_rows import ReadAgent
from agentrooms.projections.read_views import AgentPerformance

DRAFTS_A_SPAWN = 6  # so many more a user may draft than spawn

router = APIRouter(route_class=StrictRoute, tags=["agents"], dependencies=[UNCACHED])

EXPLAINED_MAX = 1_000  # rounds that one page of reasons looks through
OfRoom = Annotated[str | None, Query(alias="roomId", pattern=ID_PATTERN, max_length=ID_CHARACTERS_MAX)]
OfSwarm = Annotated[str | None, Query(alias="swarmId", pattern=ID_PATTERN, max_length=ID_CHARACTERS_MAX)]
Present = Annotated[bool | None, Query(description="Only those in their room, or only those that have left")]


@router.post(
    "/agents/mandate",
    operation_id="draftMandate",
    summary="Draft an agent's mandate",
    status_code=201,
    responses=problems(403, 404),
)
def draft_mandate(home: HomeDep, principal: SignedIn, command: CommandId, body: DraftAsked) -> DraftAnswer:
    """Draft an agent and its mandate: typed data for one's wallet to sign, and what the wallet has yet to allow.

    Within fifteen minutes POST /agents/spawn with the signature lets it trade.
    """
    room = room_of(home, body.room_id)
    item = item_for(home, body, room, principal.wallet)
    drafts = DRAFTS_A_SPAWN * home.settings.spawns_per_hour  # drafts that nobody signs stay in the vault
    home.limits.require(f"drafts:{principal.user}", drafts, HOUR_S, "drafts")
    answer = home.asking.ask(
        DraftAgent(
            id=command,
            wallet=principal.wallet,
            room=room.room,
            role=body.role,
            strategy=body.strategy,
            style=body.communication_style,
            limit_usdc_micros=body.limit_usdc_micros,
            start_usdc_micros=body.starting_price,
            maximum_usdc_micros=body.maximum_usdc_micros,
            item=item,
            wants=body.wants.wants if body.wants is not None else None,
            name=body.name,
            avatar=body.avatar,
            expiry_rounds=rounds_for(body.expires_in_seconds, room),
            counter=home.holdings.counter(principal.wallet),
        )
    )
    draft = draft_of(home, answer.draft, principal.wallet)
    return DraftAnswer(
        mandate_id=draft.id,
        mandate_hash=draft.spawned.mandate_hash,
        typed_data=typed_data(draft.mandate, home.site.domain),
        expires_at=iso(draft.expires_at_ms),
        approvals=approvals_of(home.holdings, draft.mandate),
    )


@router.post(
    "/agents/spawn",
    operation_id="spawnAgent",
    summary="Spawn an agent",
    status_code=201,
    responses=problems(403, 404),
)
def spawn_agent(home: HomeDep, principal: SignedIn, command: CommandId, body: SpawnAsked) -> AgentAnswer:
    """Let a drafted agent trade under the mandate that one's wallet has signed. A draft is one agent, once."""
    draft = draft_of(home, body.mandate_id, principal.wallet)
    require_as_drafted(body, draft)
    budget = require_ready(home.holdings, draft.mandate)
    home.limits.require(f"spawns:{principal.user}", home.settings.spawns_per_hour, HOUR_S, "spawns")
    answer = home.asking.ask(
        EnlistAgent(
            id=command,
            draft=draft.id,
            wallet=principal.wallet,
            signature=body.signature,
            budget_usdc_micros=0 if draft.mandate.item is not None else budget,
        )
    )
    found = _answer(home, answer.agent, principal).agent
    return AgentAnswer(agent=found.model_copy(update={"status": AgentStatus.SPAWNED}))  # it may have spoken by now


@router.get("/agents", operation_id="listAgents", summary="List agents")
def list_agents(
    home: HomeDep,
    room_id: OfRoom = None,
    swarm_id: OfSwarm = None,
    present: Present = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> AgentsPage:
    """Agents by id, all or those of a room or a swarm."""
    after = text_key(cursor)
    rows = home.reads.run(
        lambda read: queries.agents(read, room=room_id, swarm=swarm_id, present=present, after=after, limit=limit + 1)
    )
    return _page(rows, limit)


@router.get("/agents/my", operation_id="listMyAgents", summary="List one's agents")
def list_my_agents(
    home: HomeDep,
    principal: SignedIn,
    room_id: OfRoom = None,
    present: Present = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> AgentsPage:
    """Agents of one's own wallet, by id."""
    after, user = text_key(cursor), principal.user
    rows = home.reads.run(
        lambda read: queries.agents(read, room=room_id, user=user, present=present, after=after, limit=limit + 1)
    )
    return _page(rows, limit)


@router.get(
    "/agents/{id}",
    operation_id="getAgent",
    summary="Get an agent",
    responses=problems(404),
    openapi_extra=NOBODY_TOO,
)
def get_agent(home: HomeDep, principal: MaybeSignedIn, id: PathId) -> AgentAnswer:
    """One agent with its deal and what it achieved. Its owner sees its limits, too."""
    return _answer(home, id, principal)


@router.patch(
    "/agents/{id}", operation_id="steerAgent", summary="Pause or resume an agent", responses=problems(403, 404)
)
def steer_agent(home: HomeDep, principal: SignedIn, id: PathId, command: CommandId, body: SteerAsked) -> AgentAnswer:
    """Silence an agent of one's own, or of a swarm of one's own, or let it speak again."""
    _require_steering(home, id, principal)
    asked = PauseAgent if body.action == "pause" else ResumeAgent
    home.asking.ask(asked(id=command, agent=id))
    return _answer(home, id, principal)


@router.delete("/agents/{id}", operation_id="removeAgent", summary="Remove an agent", responses=problems(403, 404))
def remove_agent(home: HomeDep, principal: SignedIn, id: PathId, command: CommandId) -> Removed:
    """Take an agent of one's own, or of a swarm of one's own, out of its room. Not while a deal binds it."""
    _require_steering(home, id, principal)
    home.asking.ask(RemoveAgent(id=command, agent=id))
    return Removed()


@router.get(
    "/agents/{id}/reasons",
    operation_id="listReasons",
    summary="List why an agent acted",
    responses=problems(403, 404),
)
def list_reasons(
    home: HomeDep, principal: SignedIn, id: PathId, cursor: Cursor = None, limit: Limit = PAGE
) -> ReasonsPage:
    """Which rule of its strategy each act came from, and on what numbers. For the agent's owner alone.

    A page looks through a bounded number of rounds: it may be short, or empty, and still have a `nextCursor`.
    """
    row = home.reads.run(lambda read: queries.agent(read, id))
    require_own(principal, frozenset({row.user_id}), "the agent")
    after = number_key(cursor) or row.joined_event
    query = (QueryItem(tags=(chain_tag(row.room),), types=("acts.explained",)),)
    explained = home.store.read(query, after=after, limit=EXPLAINED_MAX)
    reasons: list[Reason] = []
    for found in explained:
        recorded = decode_line(found.event.data)
        assert isinstance(recorded.event, ActsExplained)
        after = found.position
        reason = recorded.event.reasons.get(id)
        if reason is not None:
            facts = {name: value for name, value in reason.items() if name != "rule"}
            rule = str(reason.get("rule", ""))
            reasons.append(Reason(round=recorded.event.round, at=iso(recorded.at_ms), rule=rule, facts=facts))
            if len(reasons) == limit:
                break
    ended = len(explained) < EXPLAINED_MAX and (not explained or after == explained[-1].position)
    return ReasonsPage(reasons=tuple(reasons), next_cursor=None if ended else cursor_of(after))


def _page(rows: list[ReadAgent], limit: int) -> AgentsPage:
    shown, following = page_of(rows, limit, lambda row: row.agent)
    return AgentsPage(agents=tuple(map(agent_body, shown)), next_cursor=following)


def _answer(home: Home, id: str, principal: Principal | None) -> AgentAnswer:
    def read(connection: queries.Connection) -> tuple[ReadAgent, AgentPerformance, object]:
        row = queries.agent(connection, id)
        name = row.deal or row.bound_by
        deal = queries.deal(connection, name).deal if name is not None else None
        shown = deal_body(deal, queries.parties(connection, [deal])) if deal is not None else None
        return row, queries.performance(connection, id), shown

    row, performance, deal = home.reads.run(read)
    fields = {
        **agent_fields(row),
        "deal": deal,
        "performance": performance_of(performance),
        "mandate": mandate_for(home, id, row.user_id, principal),
    }
    return AgentAnswer(agent=AgentDetail.model_validate(fields))


def _require_steering(home: Home, id: str, principal: Principal) -> None:
    """Raises Problem 403 for somebody who neither owns an agent nor started its swarm, 404 for no agent."""

    def read(connection: queries.Connection) -> frozenset[str]:
        row = queries.agent(connection, id)
        starter = queries.swarm(connection, row.swarm).user_id if row.swarm is not None else row.user_id
        return frozenset({row.user_id, starter})

    require_own(principal, home.reads.run(read), "the agent")
