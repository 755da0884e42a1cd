"""What one wallet holds, has promised and has earned; and all that is kept of its user."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from agentrooms.api.auth.principal import Principal
from agentrooms.api.home import Home
from agentrooms.api.mandates import own_mandates
from agentrooms.api.models.account import (
    AccountExport,
    Committed,
    NotificationBody,
    OwnAgent,
    OwnItem,
    Portfolio,
    Realised,
    SessionBody,
    Spoken,
    email_body,
    notification_body,
    webhook_body,
)
from agentrooms.api.models.agents import agent_fields, mandate_body
from agentrooms.api.models.base import iso, money
from agentrooms.api.models.deals import deal_body
from agentrooms.api.models.swarms import SwarmBody, swarm_fields
from agentrooms.api.models.wallet import chain_amount
from agentrooms.domain.room import PersonSpoke
from agentrooms.domain.terms import Role
from agentrooms.events.record import decode_line
from agentrooms.events.store import QueryItem
from agentrooms.events.tags import user_tag
from agentrooms.jobs.runs import run_states
from agentrooms.projections import queries
from agentrooms.projections.read_rows import NftRow, ReadAgent, ReadDeal
from agentrooms.projections.read_views import Turnover

AGENTS_MAX = 500  # of one user, present at once; each costs a look into the vault
LIST_MAX = 10_000  # entries of each list of an export
NOTIFICATIONS_A_PAGE = 100
RUNS_A_PAGE = 500

Entry = TypeVar("Entry")


def portfolio_of(home: Home, principal: Principal, items: Sequence[NftRow]) -> Portfolio:
    """Returns what a user's wallet holds, with those of `items` that the chain says are still its own."""

    def read(connection: queries.Connection) -> tuple[list[ReadAgent], list[ReadDeal], Turnover]:
        present = queries.agents(connection, user=principal.user, present=True, limit=AGENTS_MAX)
        return present, queries.live_deals(connection, principal.user), queries.turnover(connection, principal.user)

    agents, deals, turnover = home.reads.run(read)
    held = home.holdings.money(principal.wallet)
    return Portfolio.model_validate(
        {
            "wallet_address": principal.wallet,
            "nfts": _own_items(home, principal, items, agents, deals),
            **chain_amount("balance", held.balance_usdc_micros),
            **chain_amount("allowance", held.allowance_usdc_micros),
            "committed": _committed(home, principal, agents, deals),
            "realised": Realised.model_validate(
                {
                    "bought": turnover.bought,
                    "sold": turnover.sold,
                    **money("paid", turnover.paid_usdc_micros),
                    **money("received", turnover.got_usdc_micros),
                    **money("result", turnover.got_usdc_micros - turnover.paid_usdc_micros),
                }
            ),
        }
    )


def _own_items(
    home: Home, principal: Principal, items: Sequence[NftRow], agents: list[ReadAgent], deals: list[ReadDeal]
) -> tuple[OwnItem, ...]:
    offered = {agent.nft_id: agent.agent for agent in agents if agent.nft_id is not None}
    bound = {deal.nft_id: deal.deal for deal in deals if deal.seller_user_id == principal.user}
    return tuple(
        OwnItem(
            id=row.nft_id,
            collection=row.collection,
            token_id=row.token_id,
            name=row.name or f"#{row.token_id}",
            agent_id=offered.get(row.nft_id),
            deal_id=bound.get(row.nft_id),
        )
        for row in items
        if home.holdings.owner_of(row.collection, row.token_id) == principal.wallet
    )


def _committed(home: Home, principal: Principal, agents: list[ReadAgent], deals: list[ReadDeal]) -> Committed:
    locked = sum(deal.price_usdc_micros for deal in deals if deal.buyer_user_id == principal.user)
    free = [agent for agent in agents if agent.role is Role.BUYER and agent.bound_by is None]
    mandates = own_mandates(home, [agent.agent for agent in free])
    promised = sum(mandate.reservation_usdc_micros for _hash, mandate in mandates.values())
    return Committed.model_validate(
        {**money("in_deals", locked), **money("by_mandates", promised), **money("total", locked + promised)}
    )


def export_of(home: Home, principal: Principal) -> AccountExport:
    """Returns all that is kept of a user, each list up to LIST_MAX entries."""
    user = principal.user
    agents = all_of(
        lambda last: home.reads.run(
            partial(queries.agents, user=user, after=last.agent if last else "", limit=queries.PAGE_MAX)
        )
    )
    swarms = all_of(
        lambda last: home.reads.run(
            partial(queries.swarms, user=user, after=last.swarm if last else "", limit=queries.PAGE_MAX)
        )
    )
    deals = all_of(
        lambda last: home.reads.run(
            partial(queries.deals, user=user, after=last.locked_event if last else None, limit=queries.PAGE_MAX)
        )
    )
    spoken = _spoken(home, user)
    told = _notifications(home, user)
    runs = all_of(
        lambda last: run_states(home.jobs, user=user, before=last.number if last else None, limit=RUNS_A_PAGE),
        page=RUNS_A_PAGE,
    )
    parties = home.reads.run(lambda read: queries.parties(read, deals))
    lists: dict[str, Sequence[object]] = {
        "agents": agents,
        "swarms": swarms,
        "deals": deals,
        "messages": spoken,
        "notifications": told,
        "run_ids": runs,
    }
    return AccountExport(
        user_id=user,
        wallet_address=principal.wallet,
        exported_at=iso(time.time_ns() // 1_000_000),
        agents=_own_agents(home, agents[:LIST_MAX]),
        swarms=tuple(SwarmBody.model_validate(swarm_fields(one)) for one in swarms[:LIST_MAX]),
        deals=tuple(deal_body(one, parties) for one in deals[:LIST_MAX]),
        messages=tuple(spoken[:LIST_MAX]),
        notifications=tuple(told[:LIST_MAX]),
        webhooks=tuple(webhook_body(one) for one in home.contacts.webhooks(user)),
        email=email_body(home.contacts.email(user)),
        sessions=tuple(
            SessionBody(created_at=iso(one.created_at_ms), expires_at=iso(one.expires_at_ms))
            for one in home.sign_in.sessions_of(user)
        ),
        run_ids=tuple(one.id for one in runs[:LIST_MAX]),
        cut=tuple(name for name, entries in lists.items() if len(entries) > LIST_MAX),
    )


def _own_agents(home: Home, rows: list[ReadAgent]) -> tuple[OwnAgent, ...]:
    mandates = own_mandates(home, [row.agent for row in rows])
    bodies = {agent: mandate_body(*found) for agent, found in mandates.items()}
    return tuple(OwnAgent.model_validate({**agent_fields(row), "mandate": bodies.get(row.agent)}) for row in rows)


def _spoken(home: Home, user: str) -> list[Spoken]:
    query = (QueryItem(tags=(user_tag(user),), types=("person.spoke",)),)
    found = [decode_line(one.event.data) for one in home.store.read(query, limit=LIST_MAX + 1)]
    return [
        Spoken(room_id=one.chain, message=one.event.text, at=iso(one.at_ms))
        for one in found
        if isinstance(one.event, PersonSpoke)
    ]


def _notifications(home: Home, user: str) -> list[NotificationBody]:
    page = NOTIFICATIONS_A_PAGE
    found = all_of(
        lambda last: home.notifications.page(user, before=last.number if last else None, limit=page), page=page
    )
    return [notification_body(one) for one in found]


def all_of(fetch: Callable[[Entry | None], Sequence[Entry]], page: int = queries.PAGE_MAX) -> list[Entry]:
    """Returns the entries of all pages, at most one page more than LIST_MAX."""
    found: list[Entry] = []
    last: Entry | None = None
    while len(found) <= LIST_MAX:
        entries = fetch(last)
        found += entries
        if len(entries) < page:
            break
        last = entries[-1]
    return found
