"""One's own account: what one's agents do, what one holds, how one is told, and how to take it along or erase it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from agentrooms.accounts.contacts import CODES_MAX_DAY, TooManyContacts
from agentrooms.accounts.erasure import erase
from agentrooms.api.auth.principal import Principal, SignedIn
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.limits import DAY_S, HOUR_S
from agentrooms.api.models.account import (
    AccountExport,
    ConfirmAsked,
    Dashboard,
    DashboardAnswer,
    EmailAnswer,
    EmailAsked,
    Erased,
    Gone,
    Metrics,
    NewWebhook,
    NotificationsPage,
    PortfolioAnswer,
    ReadAnswer,
    ReadAsked,
    TestAnswer,
    WebhookAnswer,
    WebhookAsked,
    WebhooksAnswer,
    email_body,
    notification_body,
    webhook_body,
    webhook_fields,
)
from agentrooms.api.models.agents import agent_body
from agentrooms.api.models.base import PAGE, money, problems
from agentrooms.api.models.deals import deal_body
from agentrooms.api.models.swarms import SwarmBody, swarm_fields
from agentrooms.api.portfolio import all_of, export_of, portfolio_of
from agentrooms.api.problems import Problem
from agentrooms.api.reading import Cursor, Limit, number_key, text_key
from agentrooms.api.routes.common import UNCACHED, CommandId, PathId, page_of
from agentrooms.api.strict import StrictRoute
from agentrooms.domain.swarm import SwarmStatus
from agentrooms.jobs.notify import ask_confirmation, send_test
from agentrooms.jobs.queue import QueueFull
from agentrooms.live.commands import RemoveAgent, StopSwarm
from agentrooms.live.inbox import InboxFull
from agentrooms.projections import queries
from agentrooms.services.outbound import OutboundRefused

router = APIRouter(prefix="/me", route_class=StrictRoute, tags=["account"], dependencies=[UNCACHED])

TRIES_PER_HOUR = 30  # of webhooks by one user

ACTIVE_SHOWN, GONE_SHOWN, SWARMS_SHOWN, DEALS_SHOWN = 100, 20, 100, 5
ITEMS_MAX = 20  # of a portfolio's page: the chain is asked about each
KEPT = (
    "the log: what your agents and you did and said in rooms, with your wallet's address; it proves deals of others, too",
    "mandates you have drafted or signed, which the log knows by their hash; nobody but your wallet is shown them",
    "runs you had made, as nobody's; they say nothing of you",
    "what the chain holds, which nobody can erase",
)


@router.get("/dashboard", operation_id="getDashboard", summary="Get one's dashboard")
def get_dashboard(home: HomeDep, principal: SignedIn) -> DashboardAnswer:
    """One's agents, swarms and deals at a glance, with what they achieved together."""
    unread = home.notifications.unread(principal.user)
    return DashboardAnswer(dashboard=home.reads.run(lambda read: _dashboard(read, principal.user, unread)))


@router.get("/portfolio", operation_id="getPortfolio", summary="Get one's portfolio")
def get_portfolio(
    home: HomeDep,
    principal: SignedIn,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=ITEMS_MAX)] = ITEMS_MAX,
) -> PortfolioAnswer:
    """What one's wallet holds on the chain, what of it is promised, and what one's deals came to."""
    after = text_key(cursor)
    rows = home.reads.run(lambda read: queries.nfts(read, owner=principal.wallet, after=after, limit=limit + 1))
    shown, following = page_of(rows, limit, lambda row: row.nft_id)
    return PortfolioAnswer(portfolio=portfolio_of(home, principal, shown), next_cursor=following)


@router.get("/notifications", operation_id="listNotifications", summary="List notifications")
def list_notifications(
    home: HomeDep,
    principal: SignedIn,
    unread: Annotated[bool, Query(description="Only those one has not read")] = False,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> NotificationsPage:
    """What one was told, the newest first. The oldest of many are let go."""
    user, before = principal.user, number_key(cursor)
    rows = home.notifications.page(user, before=before, limit=limit, unread=unread)
    more = home.notifications.page(user, before=rows[-1].number, limit=1, unread=unread) if rows else []
    shown, following = page_of([*rows, *more], len(rows) or 1, lambda row: row.number)
    bodies = tuple(map(notification_body, shown))
    return NotificationsPage(notifications=bodies, unread=home.notifications.unread(user), next_cursor=following)


@router.post("/notifications/read", operation_id="readNotifications", summary="Mark notifications as read")
def read_notifications(home: HomeDep, principal: SignedIn, body: ReadAsked) -> ReadAnswer:
    """Mark notifications as read, all or some."""
    return ReadAnswer(read=home.notifications.read(principal.user, body.ids))


@router.get("/webhooks", operation_id="listWebhooks", summary="List webhooks")
def list_webhooks(home: HomeDep, principal: SignedIn) -> WebhooksAnswer:
    """One's webhooks, without their secrets."""
    return WebhooksAnswer(webhooks=tuple(map(webhook_body, home.contacts.webhooks(principal.user))))


@router.post("/webhooks", operation_id="addWebhook", summary="Add a webhook", status_code=201)
def add_webhook(home: HomeDep, principal: SignedIn, command: CommandId, body: WebhookAsked) -> WebhookAnswer:
    """Add an address that is told of one's deals and agents. Its secret, which signs what it gets, is shown this once."""
    try:
        home.outbound.checked(body.url, webhook=True)
        made = home.contacts.add_webhook(principal.user, body.url, body.events, command=command)
    except OutboundRefused as error:
        raise Problem(422, str(error), hint=error.hint) from error
    except TooManyContacts as error:
        raise Problem(409, str(error), hint=error.hint) from error
    return WebhookAnswer(webhook=NewWebhook.model_validate({**webhook_fields(made), "secret": made.secret}))


@router.delete("/webhooks/{id}", operation_id="removeWebhook", summary="Remove a webhook", responses=problems(404))
def remove_webhook(home: HomeDep, principal: SignedIn, id: PathId) -> Gone:
    """Remove a webhook of one's own."""
    if not home.contacts.remove_webhook(principal.user, id):
        raise _no_webhook()
    return Gone(message="Webhook removed")


@router.post(
    "/webhooks/{id}/test",
    operation_id="testWebhook",
    summary="Try a webhook out",
    responses=problems(404),
)
def test_webhook(home: HomeDep, principal: SignedIn, id: PathId, command: CommandId) -> TestAnswer:
    """Send a webhook a delivery that means nothing."""
    webhook = home.contacts.webhook(principal.user, id)
    if webhook is None:
        raise _no_webhook()
    home.limits.require(f"tries:{principal.user}", TRIES_PER_HOUR, HOUR_S, "webhooks tried out")
    try:
        return TestAnswer(delivery_id=send_test(home.jobs, webhook, command).id)
    except QueueFull as error:
        raise Problem(503, str(error), hint=error.hint) from error


@router.get("/email", operation_id="getEmail", summary="Get one's e-mail address")
def get_email(home: HomeDep, principal: SignedIn) -> EmailAnswer:
    """One's address and what is mailed to it."""
    return EmailAnswer(email=email_body(home.contacts.email(principal.user)))


@router.put("/email", operation_id="setEmail", summary="Set one's e-mail address")
def set_email(home: HomeDep, principal: SignedIn, command: CommandId, body: EmailAsked) -> EmailAnswer:
    """Set one's address, or remove it. A code is mailed to a new one, and once more to one that is not confirmed yet."""
    if body.address is None:
        home.contacts.remove_email(principal.user)
        return EmailAnswer(email=None)
    if home.settings.smtp_url is None:
        raise Problem(409, "this installation sends no e-mail", hint="its operator sets SMTP_URL and MAIL_FROM")
    try:
        before = home.contacts.email(principal.user)
        email = home.contacts.set_email(principal.user, body.address, body.events)
        if not email.confirmed:
            if before is not None and before.address == email.address:
                home.contacts.ask_code(principal.user)
            _limit_codes(home, principal.user, email.address)
            ask_confirmation(home.jobs, email, command)
    except TooManyContacts as error:
        raise Problem(409, str(error), hint=error.hint) from error
    except QueueFull as error:
        raise Problem(503, str(error), hint=error.hint) from error
    return EmailAnswer(email=email_body(email))


@router.post("/email/confirm", operation_id="confirmEmail", summary="Confirm one's e-mail address")
def confirm_email(home: HomeDep, principal: SignedIn, body: ConfirmAsked) -> EmailAnswer:
    """Confirm one's address with the code that was mailed to it."""
    return EmailAnswer(email=email_body(home.contacts.confirm(principal.user, body.code)))


@router.get("/export", operation_id="exportAccount", summary="Export one's data")
def export_account(home: HomeDep, principal: SignedIn) -> AccountExport:
    """All that is kept of oneself, limits of one's agents included, as one document."""
    return export_of(home, principal)


@router.delete("", operation_id="eraseAccount", summary="Erase one's account")
def erase_account(home: HomeDep, principal: SignedIn, command: CommandId) -> Erased:
    """Take one's agents out, stop one's swarms, erase what is kept beside the log, and end all sessions.

    Refused while a deal binds an agent of one's own.
    """
    if home.reads.run(lambda read: queries.live_deals(read, principal.user)):
        raise Problem(409, "a deal binds an agent of yours", hint="wait until it has ended; that takes a minute or so")
    _leave(home, principal, command)
    home.jobs.forget(principal.user)
    erase(home.accounts, principal.user)
    home.sign_in.end(session=principal.session)
    return Erased(message="Account erased", kept=KEPT)


def _limit_codes(home: Home, user: str, address: str) -> None:
    """Counts a code to a mailbox, also when a user takes the address back in between, or many users name it."""
    for whose in (user, home.limits.hidden(address.lower())):
        home.limits.require(f"codes:{whose}", CODES_MAX_DAY, DAY_S, "confirmation codes")


def _leave(home: Home, principal: Principal, command: str) -> None:
    """Takes a user's agents out of their rooms, and has their swarms stop when they can."""
    user = principal.user
    agents = all_of(
        lambda last: home.reads.run(
            lambda read: queries.agents(
                read, user=user, present=True, after=last.agent if last else "", limit=queries.PAGE_MAX
            )
        )
    )
    swarms = all_of(
        lambda last: home.reads.run(
            lambda read: queries.swarms(read, user=user, after=last.swarm if last else "", limit=queries.PAGE_MAX)
        )
    )
    removals = [RemoveAgent(id=f"{command}:{one.agent}", agent=one.agent) for one in agents]
    stops = [
        StopSwarm(id=f"{command}:{one.swarm}", swarm=one.swarm)
        for one in swarms
        if one.status is not SwarmStatus.COMPLETED
    ]
    _send(home, [*removals, *stops])
    for removal in removals:  # they are under way together; swarms are not waited for: their deals may take long
        home.asking.ask(removal)


def _send(home: Home, orders: Sequence[RemoveAgent | StopSwarm]) -> None:
    try:
        for order in orders:
            home.inbox.send(order)
    except InboxFull as error:
        raise Problem(503, "the system takes no commands now", hint="try again in a moment") from error


def _dashboard(read: queries.Connection, user: str, unread: int) -> Dashboard:
    active = queries.agents(read, user=user, present=True, limit=ACTIVE_SHOWN)
    gone = queries.agents_gone(read, user, GONE_SHOWN)
    swarms = queries.swarms(read, user=user, limit=SWARMS_SHOWN)
    deals = queries.deals(read, user=user, limit=DEALS_SHOWN)
    parties = queries.parties(read, deals)
    return Dashboard(
        active_agents=tuple(map(agent_body, active)),
        completed_agents=tuple(map(agent_body, gone)),
        swarms=tuple(SwarmBody.model_validate(swarm_fields(one)) for one in swarms),
        recent_deals=tuple(deal_body(deal, parties) for deal in deals),
        metrics=_metrics(read, user),
        unread_notifications=unread,
    )


def _metrics(read: queries.Connection, user: str) -> Metrics:
    found = queries.user_performance(read, user)
    gone = found.agents - found.active_agents
    return Metrics.model_validate(
        {
            "agents": found.agents,
            "active_agents": found.active_agents,
            "agents_with_deal": found.agents_with_deal,
            "efficiency": found.agents_with_deal / gone if gone else None,
            "deals_completed": queries.count_deals(read, user, "completed"),
            "deals_failed": queries.count_deals(read, user, "failed"),
            "messages_sent": found.messages,
            "avg_negotiation_seconds": None if found.avg_negotiation_ms is None else found.avg_negotiation_ms / 1_000,
            "best_deal_permille": found.best_deal_permille,
            **money("total_savings", found.savings_usdc_micros),
            **money("total_earnings", found.earnings_usdc_micros),
        }
    )


def _no_webhook() -> Problem:
    return Problem(404, "you have no such webhook", hint="GET /me/webhooks lists those there are")
